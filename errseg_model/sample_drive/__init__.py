"""The embedded sample drive: a drive through a town, drawn in perspective, with exact labels."""

from __future__ import annotations

from errseg_model.sample_drive.camera import Intrinsics
from errseg_model.sample_drive.classes import CLASSES, VOID
from errseg_model.sample_drive.drive import DriveFrame, SampleDrive

__all__ = ["CLASSES", "VOID", "DriveFrame", "Intrinsics", "SampleDrive"]
