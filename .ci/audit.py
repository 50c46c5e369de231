"""Ask for known vulnerabilities of locked packages: `python .ci/audit.py LOCK_FILE`.

pip-audit counts a package that it could not look up as a good one. Here that is said aloud, but only a found
vulnerability fails, for without a network nobody could check anything.
"""

import json
import re
import subprocess
import sys
from typing import Any


def main(lock_file: str) -> int:
    """Print what is known and return the exit code."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "-r", lock_file]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    audit = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if audit.stdout:
        return report(json.loads(audit.stdout)["dependencies"])
    if unreachable := re.search(r"requests\.exceptions\.(\w+)", audit.stderr):
        print(f"Dependency audit: left out, because its service can't be reached ({unreachable[1]}).")
        return 0
    print(audit.stderr, file=sys.stderr)
    return 1


def report(packages: list[dict[str, Any]]) -> int:
    found = [
        f"Dependency audit: {package['name']} {package['version']} has {vulnerability['id']}."
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    skipped = sum("skip_reason" in package for package in packages)
    if skipped:
        print(f"Dependency audit: {skipped} of {len(packages)} packages are unknown to its service.")
    if skipped < len(packages):
        print(
            "\n".join(found) or f"Dependency audit: nothing known against {len(packages) - skipped} packages."
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
