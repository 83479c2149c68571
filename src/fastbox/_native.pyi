from collections.abc import Sequence

class NativeError(OSError):
    stage: str
    call: str
    path: str
    detail: str

def spawn_supervisor(program: str, run: str, tied: bool) -> tuple[int, str]: ...
def connect(run: str, name: str) -> int: ...
def send(fd: int, message: bytes, fds: Sequence[int] = ()) -> None: ...
def receive(fd: int, timeout_ms: int = -1) -> bytes: ...
def alive(run: str, name: str) -> bool: ...
def attach(
    control: int,
    stdin_to: int,
    stdout_from: int,
    stderr_from: int,
    terminal: bool,
    signals: bool,
    id: str,
    exec_id: str | None,
    detach_keys: bytes,
) -> tuple[int, bytes]: ...
def remove_tree(dirfd: int, name: str | bytes) -> None: ...
def sample(
    directories: Sequence[str], v2: bool, pid: int
) -> tuple[int, int, int, int, int, int, int, int, int]: ...
