"""Make every Python of this environment use our Fast DDS profile, config/fastdds.xml.

Writes a .pth file, which Python reads at each start; a variable that the user has set stays as it is. Its
name sorts before that of the ROS wheels' own .pth file, which starts Python anew with the variables there are.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path

PROFILE = Path(__file__).resolve().parent.parent / "config" / "fastdds.xml"
SHARED_MEMORY = Path("/dev/shm")
PROCESSES = 6  # that shall find room: camera, node, recorder, tools
SMALLEST_SEGMENT = 8 << 20  # as maxMessageSize in the profile
SEGMENT_SIZE = re.compile(r"(?<=<segment_size>)\d+(?=</segment_size>)")
LINE = "import os; os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', {path!r})\n"


def fitting_segment(wanted: int, shared_memory: int) -> int:
    """Return the segment size (bytes) that lets PROCESSES processes share this much memory (bytes)."""
    return max(SMALLEST_SEGMENT, min(wanted, shared_memory // PROCESSES))


def choose_profile(prefix: Path, shared_memory: int) -> Path:
    """Return our profile, or where shared memory is short a copy in `prefix` with a smaller segment.

    A segment that does not fit is no segment: Fast DDS would then send images by UDP and lose most of them.
    """
    text = PROFILE.read_text(encoding="utf-8")
    match = SEGMENT_SIZE.search(text)
    if match is None:
        raise ValueError(f"expected a <segment_size> in {PROFILE}")
    segment = fitting_segment(int(match.group()), shared_memory)
    if segment == int(match.group()):
        return PROFILE
    copy = prefix / "errseg_fastdds.xml"
    copy.write_text(SEGMENT_SIZE.sub(str(segment), text), encoding="utf-8")
    print(
        f"    {SHARED_MEMORY} has {shared_memory >> 20} MB: Fast DDS gets segments of {segment >> 20} MB; "
        f"in a container, --shm-size=512m gives it what it should have"
    )
    return copy


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit("use_fastdds_profile: run it with the Python of a virtual environment")
    status = os.statvfs(SHARED_MEMORY)
    profile = choose_profile(Path(sys.prefix), status.f_frsize * status.f_blocks)
    pth = Path(sysconfig.get_path("purelib")) / "errseg_fastdds.pth"
    pth.write_text(LINE.format(path=str(profile)), encoding="utf-8")


if __name__ == "__main__":
    main()
