"""Who trains together, by what launchers leave in the environment and by the command line."""

import pytest

from dlnotes.devices.distributed import Processes, detect, from_options


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "3"}, Processes(4, 3, None, "SLURM")),
        ({"SLURM_NTASKS": "4"}, None),  # in the script that calls srun, not in a task
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        (
            {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"},
            Processes(2, 0, None, "Open MPI"),
        ),
        (
            {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "h", "MASTER_PORT": "99"},
            Processes(2, 1, "h:99", "torchrun"),
        ),
        ({"WORLD_SIZE": "1", "RANK": "0"}, None),
        (
            {"TPU_WORKER_HOSTNAMES": "t0, t1,t2,t3", "TPU_WORKER_ID": "2"},
            Processes(4, 2, "t0:8476", "TPU slice"),
        ),
        ({"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}, None),
    ],
)
def test_launchers(environ, expected):
    assert detect(environ) == expected


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "h"}, "MASTER_PORT is not set"),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "2"}, "TPU_WORKER_ID: got '2', allowed is 0 to 1"),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU_WORKER_ID: got ''"),
    ],
)
def test_what_launchers_leave_half_said(environ, said):
    with pytest.raises(ValueError, match=said):
        detect(environ)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((2, None, None), "--process-id, --coordinator: missing"),
        ((0, 0, "h:1"), "--processes: got 0"),
        ((2, 2, "h:1"), "--process-id: got 2, allowed is 0 to 1"),
        ((2, 0, "h"), "--coordinator: got 'h', must look like host:port"),
    ],
)
def test_options_that_do_not_fit(options, said):
    with pytest.raises(ValueError, match=said):
        from_options(*options)


def test_options_come_before_launchers(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert from_options(2, 1, "h:1") == Processes(2, 1, "h:1", "command line")
    assert from_options(1, 0, "h:1") is None
    assert from_options(None, None, None) == Processes(4, 3, None, "SLURM")
