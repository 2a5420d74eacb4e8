"""The limits of control groups, read from folders as systems have them."""

import math

import pytest

from benchmarks.execution.cgroups import Limits, limits

GIB = 2**30
NO_LIMIT = "9223372036854771712\n"
"""What version 1 says where there is none."""


@pytest.fixture
def limits_with(tmp_path):
    """Give a function that writes files, by their paths, and reads the limits that they tell."""

    def read(files):
        for path, text in files.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(str(text))
        return limits(tmp_path)

    return read


def test_without_groups_nothing_is_limited(limits_with):
    """Where no file tells of groups, or where they have no limits, all is infinite."""
    assert limits_with({}) == Limits(math.inf, math.inf, math.inf)
    found = limits_with(
        {
            "proc/self/cgroup": "0::/init.scope\n",
            "proc/self/mountinfo": "25 30 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
            "sys/fs/cgroup/init.scope/memory.max": "max\n",
            "sys/fs/cgroup/init.scope/memory.current": "4096\n",
            "sys/fs/cgroup/init.scope/cpu.max": "max 100000\n",
        }
    )
    assert found == Limits(math.inf, math.inf, math.inf)


def test_version_2(limits_with):
    """The least counts of the group and those around it; what the kernel keeps of files is available."""
    job = "sys/fs/cgroup/system.slice/job_7.scope"
    found = limits_with(
        {
            "proc/self/cgroup": "0::/system.slice/job_7.scope/task\n",
            "proc/self/mountinfo": (
                "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                "35 24 0:29 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
            ),
            f"{job}/task/memory.max": "max\n",
            f"{job}/task/memory.current": 2 * GIB,
            f"{job}/memory.max": 8 * GIB,
            f"{job}/memory.current": 5 * GIB,
            f"{job}/memory.stat": f"anon {3 * GIB}\nfile {2 * GIB}\ninactive_file {GIB}\nactive_file {GIB // 2}\n",
            "sys/fs/cgroup/system.slice/memory.max": 64 * GIB,
            f"{job}/task/cpu.max": "max 100000\n",
            f"{job}/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/user.slice/memory.max": GIB,
        }
    )
    assert found == Limits(1.5, 8 * GIB, 8 * GIB - 5 * GIB + 1.5 * GIB)


def test_version_1(limits_with):
    """Each controller has a hierarchy of its own, beside version 2's without any; totals are of the groups inside."""
    job = "sys/fs/cgroup/memory/slurm/uid_1000/job_42"
    found = limits_with(
        {
            "proc/self/cgroup": (
                "9:memory:/slurm/uid_1000/job_42/step_batch\n4:cpu,cpuacct:/batch\n1:name=systemd:/x\n0::/\n"
            ),
            "proc/self/mountinfo": (
                "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpuacct,cpu\n"
                "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
                "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
                "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
            ),
            f"{job}/step_batch/memory.limit_in_bytes": NO_LIMIT,
            f"{job}/step_batch/memory.usage_in_bytes": 3 * GIB,
            f"{job}/memory.limit_in_bytes": 8 * GIB,
            f"{job}/memory.usage_in_bytes": 4 * GIB,
            f"{job}/memory.stat": f"active_file 0\ninactive_file 7\ntotal_active_file 0\ntotal_inactive_file {GIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT,
            "sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_period_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
    )
    assert found == Limits(8.0, 8 * GIB, 5 * GIB)


def test_container_that_knows_the_name_of_its_group_outside(limits_with):
    """Where the group is named as outside of the container, it is what is mounted in it."""
    found = limits_with(
        {
            "proc/self/cgroup": "5:memory:/docker/4c6a\n",
            "proc/self/mountinfo": "60 59 0:32 /docker/4c6a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * GIB,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": GIB,
        }
    )
    assert found == Limits(math.inf, 2 * GIB, GIB)
