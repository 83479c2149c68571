"""The log driver of a container that names none: what docker's daemon has in its configuration, we
have in the environment.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.types import RunOptions

DRIVER, OPTS = "FASTBOX_LOG_DRIVER", "FASTBOX_LOG_OPTS"


def with_log(options: RunOptions) -> RunOptions:
    """The options with a log driver. $FASTBOX_LOG_OPTS ("max-size=10m max-file=3") counts where the
    driver is the default one; what the container says itself counts more.
    """
    default = os.environ.get(DRIVER) or "json-file"
    driver = options.log_driver or default
    words = os.environ.get(OPTS, "").split() if driver == default else ()
    if not words:
        return options if options.log_driver else options.replace(log_driver=driver)
    opts = {name: value for name, _, value in (word.partition("=") for word in words)}
    return options.replace(log_driver=driver, log_opts=opts | dict(options.log_opts or {}))
