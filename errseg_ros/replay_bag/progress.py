"""What has been played so far, as a line on a terminal and as a sentence at the end."""

from __future__ import annotations

import time

from tqdm import tqdm


class Progress:
    """Counts messages. Use it in a `with` block, which ends the line."""

    def __init__(self, total: int) -> None:
        """`total`: messages of one pass, as the bags promise."""
        self._total = total
        self._bar = tqdm(total=total, desc="  replay", unit=" messages", disable=None, ncols=80)
        self._passes = 0
        self._messages = 0
        self._began = time.monotonic()
        self._interrupted = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def begin(self) -> None:
        """A pass starts."""
        self._passes += 1
        if self._passes > 1:
            self._bar.reset(self._total)
            self._bar.set_postfix_str(f"loop {self._passes}", refresh=False)

    def add(self) -> None:
        """A message has been sent."""
        self._messages += 1
        self._bar.update()

    def interrupt(self) -> None:
        """Ctrl-C ends it."""
        self._interrupted = True

    def summary(self, topics: int) -> str:
        """Such as "played 400 messages of 4 topics in 10.1 s"."""
        start = "interrupted: played" if self._interrupted else "played"
        loops = f" in {self._passes} loops" if self._passes > 1 else ""
        seconds = time.monotonic() - self._began
        return f"{start} {self._messages} messages of {topics} topics{loops} in {seconds:.1f} s"
