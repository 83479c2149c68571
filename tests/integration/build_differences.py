"""Where fastbox differs from docker's builders on purpose; docs/builds.md tells it to people."""

from __future__ import annotations

from fastbox.support.record import Record


class Difference(Record):
    """Lines of a comparison that may be there: `fastbox / other`."""

    cases: str  # a name, or a pattern of names
    parties: tuple[str, ...]
    what: str  # a regular expression for the beginning of such a line
    reason: str


CLASSIC, BUILDKIT, BOTH = ("classic",), ("buildkit",), ("buildkit", "classic")


def _of(cases: str, parties: tuple[str, ...], what: str, reason: str) -> Difference:
    return Difference(cases=cases, parties=parties, what=what, reason=reason)


DIFFERENCES = [
    _of("*", CLASSIC, r"config Env: \['PATH=\S*'\] / None", "BuildKit, too, gives an image without PATH the usual one"),
    _of("*", CLASSIC, r"config WorkingDir: '/' / None", "BuildKit, too, says that scratch begins in /"),
    _of("*", BUILDKIT, r"time of directory .+: \d+ / 'now'", "newer BuildKits keep the times of a context's directories"),
    _of("ignore-*", CLASSIC, r"time of directory \S+: \d+ / 'now'", "a directory that is there for what is in it has its own time"),
    _of("substitution-of-no-colon", BOTH, r"outcome: 'built'", "newer BuildKits know ${X-d} and ${X+p}"),
    _of("health-zero", BOTH, r"outcome: 'built'", "newer BuildKits take 0 for the default"),
    _of("arg-after-env", BUILDKIT, r"(config Env|sha256 seen|size seen)", "ENV hides an ARG, as docker's reference says; BuildKit lets the later of them win"),
    _of("arg-predefined", CLASSIC, r"(sha256|size) seen", "as in BuildKit a RUN has a proxy in both spellings"),
    _of("proxy-undeclared", CLASSIC, r"(sha256|size) seen", "as in BuildKit a RUN has a proxy in both spellings"),
    _of("workdir-of-a-user", BUILDKIT, r"(sha256|size) tmp/seen", "newer BuildKits give RUN the user's further groups"),
    _of("workdir-of-a-user", CLASSIC, r"owner w", "a directory that WORKDIR makes is USER's, as BuildKit has it"),
    _of("user-forms", BUILDKIT, r"(sha256|size) tmp/", "newer BuildKits give RUN the user's further groups"),
    _of("overridden", CLASSIC, r"config Healthcheck", "NONE drops the base's options, as in BuildKit"),
    _of("overridden", CLASSIC, r"file of-(base|mine): absent", "a RUN is not given the image's volumes, as in BuildKit"),
    _of("volume-content", CLASSIC, r"file v/after", "a RUN is not given the image's volumes, so what it writes there stays, as in BuildKit"),
    _of("copy-several-needs-slash", BUILDKIT, r"outcome: .* / 'built'", "docker's reference and the classic builder refuse it"),
    _of("copy-wildcard-of-nothing", CLASSIC, r"outcome: 'built'", "as in BuildKit a pattern may match nothing"),
    _of("copy-outside", CLASSIC, r"outcome: 'built'", "as in BuildKit `..` ends at the context's root"),
    _of("copy-directory-over-inner-link", CLASSIC, r"outcome: .* / 'built'", "as in BuildKit a directory replaces nothing"),
    _of("copy-file-onto-directory", CLASSIC, r"outcome: .* / 'built'", "as in BuildKit a file replaces no directory"),
    _of("copy-directory-onto-inner-file", CLASSIC, r"outcome: .* / 'built'", "as in BuildKit a directory replaces nothing"),
    _of("copy-modes", CLASSIC, r"mode (all|some)/s: '0o6711' / '0o711'", "setuid and setgid stay, as in BuildKit"),
    _of("copy-chown-setuid", CLASSIC, r"mode 1: '0o6755' / '0o755'", "setuid and setgid stay, as in BuildKit"),
    _of("stages-from-keeps-all", CLASSIC, r"mode h/[fg]: '0o6755' / '0o755'", "setuid and setgid stay, as in BuildKit"),
    _of("stages-from-keeps-all", BUILDKIT, r"file \S+/p: .* / absent", "newer BuildKits copy FIFOs"),
    _of("copy-chown", CLASSIC, r"owner 5: \(1000, 34\) / \(0, 0\)", "all directories that are made are the owner's, as in BuildKit"),
    _of("copy-chown-group-only", CLASSIC, r"outcome: 'built'", "as in BuildKit the user may be left out"),
    _of("copy-chown-unknown*", BUILDKIT, r"outcome: .* / 'built'", "as in the classic builder; BuildKit takes root for who it does not find"),
    _of("copy-chmod", BUILDKIT, r"mode 3/new/f: '0o4711' / '0o711'", "BuildKit drops setuid of --chmod"),
    _of("copy-capabilities", BOTH, r"attributes (all/)?p: .* / {}", "docker's chown takes a file's capabilities away"),
    _of("add-archive-chown", CLASSIC, r"owner x(/new)?: \(1000, 1000\) / \(0, 0\)", "directories that are made are the owner's, as in BuildKit"),
    _of("ignore-all-but-below", BOTH, r"file all/d(/e(/keep.md)?)?: .* / absent", "a wildcard in an exception finds files below excluded directories, as in newer BuildKits"),
    _of("stages-target-by-number", BOTH, r"outcome: 'built'", "--target takes a number, too, as COPY --from does"),
    _of("run-mounts", BUILDKIT, r"file [acmt]: absent", "newer BuildKits leave no mount points behind"),
    _of("onbuild-from-a-stage", BUILDKIT, r"outcome: 'built'", "newer BuildKits find the stages that triggers of an image name"),
    _of("stages-from-later", CLASSIC, r"outcome: 'built'", "as in BuildKit stages may be in any order"),
]  # fmt: skip
