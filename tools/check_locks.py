"""Check that the locks are pinned, hashed, free of addresses and in step with pyproject.toml."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+))?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
# An address of an index, a file of this machine, or an option that brings either.
ADDRESS = re.compile(r"://|(?:^|[\s=@])[/~]|^\s*-(?!-hash=)", re.MULTILINE)


def read_pins(text: str) -> tuple[dict[str, str], list[str]]:
    """Give the version by canonical name, and what is wrong with the lines of a lock."""
    pins: dict[str, str] = {}
    problems: list[str] = []
    code = re.sub(r"#.*", "", text)
    for entry in code.replace("\\\n", " ").splitlines():
        words = entry.split()
        if not words:
            continue
        pin = PIN.match(entry)
        if pin is None:
            problems.append(f"not a pinned release: {words[0]}")
            continue
        if not HASH.search(entry):
            problems.append(f"no hash: {words[0]}")
        pins[canonicalize_name(pin["name"])] = pin["version"]
    return pins, problems


def find_unmet(required: list[str], pins: dict[str, str]) -> list[str]:
    """Say which requirements the pins don't meet."""
    unmet = []
    for requirement in map(Requirement, required):
        version = pins.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            unmet.append(f"{requirement} is asked for, {version or 'nothing'} is locked")
    return unmet


def expand_group(groups: dict[str, list[str | dict[str, str]]], name: str) -> list[str]:
    """Give the requirements of a dependency group, those of the groups it includes among them."""
    found: list[str] = []
    for item in groups[name]:
        found += [item] if isinstance(item, str) else expand_group(groups, item["include-group"])
    return found


def find_problems(text: str, required: list[str], everything: dict[str, str]) -> list[str]:
    """Say what is wrong with one lock, given what it has to hold and the pins of the whole one."""
    pins, problems = read_pins(text)
    problems += [
        f"address or option: {line.strip()}" for line in text.splitlines() if ADDRESS.search(line)
    ]
    problems += find_unmet(required, pins)
    problems += [
        f"{name} {version} here, {everything.get(name)} in all.txt"
        for name, version in pins.items()
        if everything.get(name) != version
    ]
    return problems


def main() -> int:
    """Print what is wrong and give the exit status."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = settings["project"], settings["dependency-groups"]
    runtime = project["dependencies"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    required = {
        "all.txt": runtime + extras + expand_group(groups, "dev"),
        "build.txt": expand_group(groups, "build"),
        "runtime.txt": runtime,
    }
    texts = {name: (LOCKS / name).read_text() for name in required}
    everything, _ = read_pins(texts["all.txt"])
    problems = [
        f"requirements/{name}: {problem}"
        for name, text in texts.items()
        for problem in find_problems(text, required[name], everything)
    ]
    if problems:
        print(*problems, "Run `make lock`.", sep="\n", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
