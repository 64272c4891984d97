"""Output bags of workers that may be lost at any moment."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from errseg_model.errors import InputError
from errseg_ros.bags.writing import check_free
from errseg_ros.evaluate_bag.output_bag import OutputBags
from errseg_ros.evaluate_bag.plan import BagPlan


class Attempts:
    """Each attempt at a bag writes in a hidden folder of its own, beside where the output bag goes.

    The command alone gives an output bag its name, once all else that its worker has to tell has arrived. So whatever
    a lost worker leaves is removed with its folder, even where its machine is only cut off and still writes.
    """

    def __init__(self, output_bags: OutputBags) -> None:
        self._output_bags = output_bags
        self._folders: dict[str, Path] = {}
        """Of the attempt in work, by name of its bag."""

    def begin(self, plan: BagPlan) -> OutputBags:
        """Where the next attempt writes to. Raises InputError where the output bag cannot be written."""
        place = self._output_bags.place(plan)
        check_free(place)
        folder = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            folder.mkdir()
        except OSError as error:
            raise _failure(place, error) from None
        self._folders[plan.name] = folder
        return OutputBags(folder / place.name, several=False)

    def keep(self, plan: BagPlan) -> None:
        """Give the output bag of the attempt its name. Raises InputError; then nothing is left of it."""
        place = self._output_bags.place(plan)
        try:
            check_free(place)
            os.rename(self._folders[plan.name] / place.name, place)
        except OSError as error:
            raise _failure(place, error) from None
        finally:
            self.drop(plan)

    def drop(self, plan: BagPlan) -> None:
        """Leave nothing of the attempt at a bag, if there is one."""
        if (folder := self._folders.pop(plan.name, None)) is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _failure(place: Path, error: OSError) -> InputError:
    return InputError(f"bag {place} cannot be written: {error.strerror or error}")
