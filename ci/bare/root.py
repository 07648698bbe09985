# SPDX-License-Identifier: MIT
"""A root directory with a fresh Debian in it, that has this machine's network and package archives.

Whatever this machine needs to reach the archives (mirrors, proxies, credentials, keys, certificates)
is taken from its configuration when this runs, and goes with the root directory.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import IO

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Of an archive's suites those that a new installation has.
SUITES = ("", "-updates", "-security")
# For what apt is told, and for its connections, when they are not Debian's own.
NETWORK = ("resolv.conf", "hosts", "apt/auth.conf", "apt/auth.conf.d", "apt/trusted.gpg",
           "apt/trusted.gpg.d", "apt/keyrings", "ssl/certs/ca-certificates.crt")
CERTIFICATES = "usr/local/share/ca-certificates"
NODES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}  # of major number 1
GROUP_TTY = 5


class RootError(Exception):
    """The machine cannot make such a root."""


def output(*words: str) -> str:
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True).stdout


def archives(release: str) -> list[tuple[str, str]]:
    """Addresses and suites, as apt reads them from whatever format they are configured in; with
    those of this machine's release read as of the other."""
    own = output("sh", "-c", ". /etc/os-release; printf %s \"$VERSION_CODENAME\"")
    found = []
    for line in output("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                       "Created-By: Packages").splitlines():
        address, suite, component = line.split()
        for name in (release, own):
            kind = suite.removeprefix(name)
            if component == "main" and kind in SUITES and (address, release + kind) not in found:
                found.append((address, release + kind))
    if release not in [suite for _, suite in found]:
        raise RootError(f"apt here is configured for no archive of Debian's {own} or {release}")
    return found


def acquire_options() -> str:
    """How apt reaches archives: proxies, certificates, what it does not check."""
    kept = [line for line in output("apt-config", "dump", "Acquire").splitlines()
            if not line.startswith("Acquire::IndexTargets")]
    for kind in ("http", "https"):
        proxy = os.environ.get(f"{kind}_proxy")
        if proxy:
            kept.append(f'Acquire::{kind}::Proxy "{proxy}";')
    return "\n".join(kept) + "\n"


def proxies() -> dict[str, str]:
    """The same for debootstrap, which asks wget."""
    told = {kind: output("apt-config", "dump", "--format=%v", f"Acquire::{kind}::Proxy").strip()
            for kind in ("http", "https")}
    return {f"{kind}_proxy": proxy for kind, proxy in told.items() if proxy}


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy2(source, target)  # what a link leads to


def make_base(release: str, root: Path, log: IO[str]) -> None:
    """The smallest Debian there is, with what it takes to install more."""
    sources = archives(release)
    mirror = next(address for address, suite in sources if suite == release)
    try:
        subprocess.run(["debootstrap", "--variant=minbase", f"--keyring={KEYRING}", release, root,
                        mirror], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True,
                       env={**os.environ, **proxies()})
    except subprocess.CalledProcessError:
        raise RootError(f"debootstrap could not make {release}") from None
    for name in NETWORK:
        copy(Path("/etc") / name, root / "etc" / name)
    copy(Path("/") / CERTIFICATES, root / CERTIFICATES)
    with open(root / "etc/hosts", "a", encoding="utf-8") as hosts:
        hosts.write("\n127.0.1.1 bare\n")
    (root / "etc/hostname").write_text("bare\n")
    (root / "etc/apt/sources.list").write_text(
        "".join(f"deb {address} {suite} main\n" for address, suite in sources))
    # It is thrown away: nothing has to be on the disk for good.
    (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
    # No package comes along that ci/deps does not name.
    (root / "etc/apt/apt.conf.d/90machine").write_text(
        acquire_options() + 'APT::Install-Recommends "false";\n')


def mount(kind: str, target: Path, options: str) -> None:
    subprocess.run(["mount", "-t", kind, "-o", options, kind, target], check=True)


def mount_terminals() -> None:
    """Terminals of our own, so that those that we open are there inside as well."""
    mount("devpts", Path("/dev/pts"), f"newinstance,ptmxmode=0666,mode=620,gid={GROUP_TTY}")


def mount_devices(root: Path) -> None:
    """What a kernel and its start-up give to a root; without /dev/kvm. Ends with the namespace."""
    mount("proc", root / "proc", "nosuid,nodev,noexec")
    mount("sysfs", root / "sys", "ro,nosuid,nodev,noexec")
    dev = root / "dev"
    mount("tmpfs", dev, "mode=755")
    for name, minor in NODES.items():
        os.mknod(dev / name, 0o020666, os.makedev(1, minor))
    os.mknod(dev / "tty", 0o020666, os.makedev(5, 0))
    for node in dev.iterdir():
        node.chmod(0o666)
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"),
                         ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(target)
    (dev / "pts").mkdir()
    (dev / "shm").mkdir()
    subprocess.run(["mount", "--bind", "/dev/pts", dev / "pts"], check=True)
    mount("tmpfs", dev / "shm", "mode=1777")
