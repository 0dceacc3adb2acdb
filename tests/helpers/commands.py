"""The environment of a command that a test starts in a process of its own."""

import os


def environment(devices: int = 1) -> dict[str, str]:
    """That of the tests, for a number of devices; the package is the installed one.

    The compiler's options stay, since most of a short command's time is compiling.
    """
    count = "--xla_force_host_platform_device_count"
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(count)]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join([*flags, f"{count}={devices}"])}
