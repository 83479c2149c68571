"""Values of `build`'s flags that have fields of their own: outputs, caches, secrets, agents,
attestations. Only imported when one is given.
"""

from __future__ import annotations

from fastbox.builds import CacheSource, Output, Secret, Ssh
from fastbox.cli.parser import UsageError
from fastbox.cli.values import bad_value
from fastbox.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_FILES = ("tar", "oci", "docker")  # outputs that are one file, or stdout
_LATER = "it comes with the registry"


def fields(args: Arguments, flag: str, text: str) -> dict[str, str]:
    """`a=1,b=2` as docker reads it: CSV, so a field with a comma in it is quoted.

    Raises:
        UsageError: A field without a name or `=`, a name that comes twice, or no CSV.
    """
    found: dict[str, str] = {}
    for field in _split(args, flag, text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not key or not equals:
            raise bad_value(args, flag, text, f'"{field}" is not name=value')
        if key in found:
            raise bad_value(args, flag, text, f"{key} comes twice")
        found[key] = value
    return found


def _split(args: Arguments, flag: str, text: str) -> list[str]:
    import _csv

    try:
        return next(_csv.reader([text], strict=True), [])
    except _csv.Error as error:
        raise bad_value(args, flag, text, f"not a list with commas: {error}") from None


def outputs(args: Arguments) -> tuple[Output, ...]:
    """Every --output.

    Raises:
        UsageError: One that can't be read, or two that want stdout.
        Unsupported: It is for a registry.
    """
    made = tuple(_output(args, text) for text in args.texts("output"))
    if sum(output.target == "-" for output in made) > 1:
        raise UsageError(args.command, "two outputs can't both go to stdout")
    return made


def _output(args: Arguments, text: str) -> Output:
    """`DIRECTORY`, `-` (a tar to stdout) or `type=...,dest=...`."""
    if not text:
        raise bad_value(args, "output", text, "it is empty", "type=local,dest=out")
    if text == "-":
        return Output(kind="tar", target="-")
    if "=" not in text and "," not in text:
        return Output(kind="local", target=text)
    given = fields(args, "output", text)
    kind, target, name = given.pop("type", ""), given.pop("dest", ""), given.pop("name", "")
    if kind == "registry" or given.pop("push", "false").lower() not in ("false", "0"):
        raise Unsupported("pushing an image is not supported yet", hint=_LATER)
    if kind not in ("image", "local", *_FILES):
        why = "type is one of image, local, tar, oci, docker" if kind else "it has no type"
        raise bad_value(args, "output", text, why, "type=local,dest=out")
    if kind == "local" and target in ("", "-"):
        why = "it needs a dest that is a directory"
        raise bad_value(args, "output", text, why, "type=local,dest=out")
    if kind == "docker" and not target:
        kind = "image"  # docker loads it into its store: so is every image here
    if kind in _FILES:
        target = target or "-"
    elif kind == "image" and target:
        raise bad_value(args, "output", text, "an image has no dest", "type=oci,dest=image.tar")
    return Output(kind=kind, target=target, name=name, attributes=given or None)


def cache_sources(args: Arguments) -> tuple[CacheSource, ...]:
    """Every --cache-from.

    Raises:
        UsageError: One that can't be read.
        Unsupported: A store of others.
    """
    return tuple(
        source for text in args.texts("cache-from") for source in _caches(args, "cache-from", text)
    )


def cache_targets(args: Arguments) -> tuple[CacheSource, ...]:
    """Every --cache-to.

    Raises:
        UsageError: One that can't be read.
        Unsupported: A store of others.
    """
    return tuple(
        target for text in args.texts("cache-to") for target in _caches(args, "cache-to", text)
    )


def _caches(args: Arguments, flag: str, text: str) -> list[CacheSource]:
    words = _split(args, flag, text)
    if words and all(words) and not any("=" in word for word in words):
        return [CacheSource(kind="registry", ref=word) for word in words]
    given = fields(args, flag, text)
    kind, mode = given.pop("type", ""), given.pop("mode", "min")
    place = "src" if flag == "cache-from" else "dest"
    if mode not in ("min", "max"):
        raise bad_value(args, flag, text, "mode is min or max", f"type=local,{place}=dir,mode=max")
    made = {"kind": kind, "mode": mode, "ref": "", "path": ""}
    if kind == "registry":
        made["ref"] = _needed(args, flag, text, given, "ref")
    elif kind == "local":
        made["path"] = _needed(args, flag, text, given, place)
    elif kind != "inline" or flag == "cache-from":
        raise _not_a_cache(args, flag, text, kind)
    return [CacheSource(**made, attributes=given or None)]


def _needed(args: Arguments, flag: str, text: str, given: dict[str, str], key: str) -> str:
    value = given.pop(key, "")
    if not value:
        raise bad_value(args, flag, text, f"it has no {key}")
    return value


def _not_a_cache(args: Arguments, flag: str, text: str, kind: str) -> Exception:
    if kind in ("gha", "s3", "azblob"):
        return Unsupported(
            f"a cache of type {kind} is not supported", hint="use type=local or type=registry"
        )
    known = "registry or local" if flag == "cache-from" else "registry, local or inline"
    return bad_value(args, flag, text, f"type is {known}" if kind else "it has no type")


def secrets(args: Arguments) -> tuple[Secret, ...]:
    """Every --secret.

    Raises:
        UsageError: One that can't be read, or two of one id.
    """
    made = tuple(_secret(args, text) for text in args.texts("secret"))
    _check_ids(args, "secret", [secret.id for secret in made])
    return made


def _secret(args: Arguments, text: str) -> Secret:
    """`id=x[,src=PATH|,env=NAME]`; with an id alone the variable of that name, else the file."""
    import os

    example = "id=token,src=token.txt"
    given = fields(args, "secret", text)
    kind = given.pop("type", "")
    if kind not in ("", "file", "env"):
        raise bad_value(args, "secret", text, "type is file or env", example)
    paths = [given.pop(key) for key in ("src", "source") if key in given]
    identity, env = given.pop("id", ""), given.pop("env", "")
    if given:
        raise bad_value(args, "secret", text, f"unknown field {next(iter(given))}", example)
    if not identity:
        raise bad_value(args, "secret", text, "it has no id", example)
    path = paths[0] if paths else ""
    if kind == "env" and path and not env:
        path, env = "", path
    if len(paths) > 1 or (path and env) or (kind == "file" and env):
        raise bad_value(args, "secret", text, "it has two sources", example)
    if not path and not env:
        alone = kind != "file" and identity in os.environ
        path, env = ("", identity) if alone else (identity, "")
    return Secret(id=identity, path=path, env=env)


def agents(args: Arguments) -> tuple[Ssh, ...]:
    """Every --ssh: `ID[=PATH[,PATH...]]`.

    Raises:
        UsageError: One that can't be read, or two of one id.
    """
    made = []
    for text in args.texts("ssh"):
        identity, equals, paths = text.partition("=")
        found = tuple(paths.split(",")) if equals else ()
        if not identity or not all(found):
            raise bad_value(args, "ssh", text, "not ID[=PATH,...]", "default=/run/agent.sock")
        made.append(Ssh(id=identity, paths=found))
    _check_ids(args, "ssh", [ssh.id for ssh in made])
    return tuple(made)


def _check_ids(args: Arguments, flag: str, names: list[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UsageError(args.command, f'two --{flag} have the id "{name}"')


def check_attestations(args: Arguments) -> None:
    """Let --attest, --provenance and --sbom pass when they ask for nothing.

    Raises:
        Unsupported: They ask for something.
        UsageError: One that can't be read.
    """
    for flag in ("provenance", "sbom"):
        if args.given(flag) and not _asks_nothing(args, flag, args.text(flag)):
            raise _no_attestations(flag)
    for text in args.texts("attest"):
        given = fields(args, "attest", text)
        if given.get("type") not in ("provenance", "sbom"):
            raise bad_value(args, "attest", text, "type is provenance or sbom")
        if given.get("disabled", "false").lower() not in ("true", "1"):
            raise _no_attestations("attest")


def _asks_nothing(args: Arguments, flag: str, text: str) -> bool:
    if "=" in text:
        return fields(args, flag, text).get("disabled", "false").lower() in ("true", "1")
    return text.lower() in ("false", "0", "f", "disabled")


def _no_attestations(flag: str) -> Unsupported:
    return Unsupported(
        f"--{flag} asks for an attestation: none is made yet", hint=f"leave out --{flag}"
    )
