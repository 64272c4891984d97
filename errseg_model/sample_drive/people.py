"""Walkers and cyclists, drawn from joints in space."""

from __future__ import annotations

import numpy as np

from errseg_model.sample_drive.camera import Points
from errseg_model.sample_drive.canvas import Canvas, Paint
from errseg_model.sample_drive.classes import Label
from errseg_model.sample_drive.street import KERB, View
from errseg_model.sample_drive.things import Cyclist, Walker
from errseg_model.sample_drive.weather import Light, Rgb


def _place(view: View, s: float, d: float, heading: int, ground: float, joints: Points) -> tuple[Points, float, float]:
    """Joints (N, 3) of x right, y up, z forward to canvas points, pixels per metre and depth."""
    places = np.stack([s + heading * joints[:, 2], d + heading * joints[:, 0], joints[:, 1] + ground], 1)
    points, depth = view.project(places)
    z = float(depth.mean())
    return points, view.camera.focal / max(z, 1.0), z


def _leg(x: float, hip: float, swing: float, bend: float) -> list[tuple[float, float, float]]:
    """Hip, knee, ankle, toe of a leg that swings `swing` radians forward; the knee bends `bend` radians back."""
    knee_y, knee_z = hip - 0.43 * np.cos(swing), 0.43 * np.sin(swing)
    ankle_y = knee_y - 0.41 * np.cos(swing - bend)
    ankle_z = knee_z + 0.41 * np.sin(swing - bend)
    return [
        (x, hip, 0.0),
        (x, knee_y, knee_z),
        (x, ankle_y, ankle_z),
        (x * 1.25, ankle_y - 0.05, ankle_z + 0.15),
    ]


def draw_walker(canvas: Canvas, view: View, light: Light, who: Walker) -> None:
    step = np.sin(who.stride) * 0.5 * who.swing
    bends = [0.25 * who.swing + 0.45 * who.swing * max(np.sin(who.stride + phase), 0.0) for phase in (0.9, 0.9 + np.pi)]
    arm = step * 0.9
    joints = [*_leg(-0.10, 0.90, step, bends[1]), *_leg(0.10, 0.90, -step, bends[0])]  # 0-3, 4-7
    for x, turn in ((-0.235, -arm), (0.235, arm)):  # shoulder, elbow, hand: 8-10, 11-13
        joints += [
            (x, 1.40, 0.0),
            (x * 1.12, 1.40 - 0.29 * np.cos(turn), 0.29 * np.sin(turn)),
            (x * 1.1, 1.40 - 0.54 * np.cos(turn), 0.54 * np.sin(turn) + 0.08),
        ]
    joints += [
        (-0.21, 1.45, 0.0),
        (0.21, 1.45, 0.0),
        (0.17, 1.12, 0.0),
        (0.185, 0.84, 0.0),
        (-0.185, 0.84, 0.0),
        (-0.17, 1.12, 0.0),
    ]  # torso: 14-19
    joints += [
        (0.0, 1.48, 0.0),
        (0.0, 1.635, 0.02),
        (0.0, 1.67, -0.03),
        (0.26, 0.72, 0.0),
        (0.26, 1.0, 0.0),
    ]  # 20-24
    points, metre, z = _place(view, who.s, who.d, who.heading, KERB, np.array(joints) * (who.height / 1.75))
    if z < 1.2 or not view.sees(points[20], 0.5 * metre):
        return

    def paint(colour: Rgb, tone: float = 1.0) -> Paint:
        return light.paint((colour[0] * tone, colour[1] * tone, colour[2] * tone), light.round, z, Label.PEDESTRIAN)

    far_arm, near_arm = (8, 11) if points[8, 0] > points[11, 0] else (11, 8)
    canvas.path(points[far_arm : far_arm + 3], 0.095 * metre, paint(who.top, 0.8))
    for start, tone in ((0, 0.88), (4, 1.0)) if step * who.heading > 0 else ((4, 0.88), (0, 1.0)):
        canvas.line(points[start], points[start + 1], 0.165 * metre, paint(who.legs, tone))
        canvas.line(points[start + 1], points[start + 2], 0.125 * metre, paint(who.legs, tone * 0.93))
        canvas.line(points[start + 2], points[start + 3], 0.09 * metre, paint((34, 30, 28)))
    canvas.path(points[20:22], 0.10 * metre, paint(who.skin, 0.9))
    canvas.polygon(points[14:20], paint(who.top))
    canvas.line(points[14], points[15], 0.09 * metre, paint(who.top, 1.05))
    if who.bag:
        canvas.line(points[23], points[24], 0.16 * metre, paint((64, 48, 40)))
    canvas.path(points[near_arm : near_arm + 2], 0.105 * metre, paint(who.top, 0.92))
    canvas.line(points[near_arm + 1], points[near_arm + 2], 0.085 * metre, paint(who.top, 0.92))
    canvas.disc(points[near_arm + 2], 0.05 * metre, paint(who.skin))
    canvas.disc(points[21], 0.115 * metre, paint(who.skin if who.heading < 0 else who.hair))
    canvas.disc(points[22], 0.112 * metre, paint(who.hair))
    if who.heading < 0:
        canvas.disc(points[21] + (0, 0.035 * metre), 0.09 * metre, paint(who.skin))


_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)


def draw_cyclist(canvas: Canvas, view: View, light: Light, who: Cyclist) -> None:
    wheel = 0.34
    joints = [(0.0, wheel + wheel * np.sin(t), -0.52 + wheel * np.cos(t)) for t in _TURN]  # 0-15 rear wheel
    joints += [(0.0, wheel + wheel * np.sin(t), 0.54 + wheel * np.cos(t)) for t in _TURN]  # 16-31 front wheel
    joints += [
        (0, wheel, -0.52),
        (0, wheel, 0.54),
        (0, 0.30, -0.06),
        (0, 0.88, -0.2),
        (0, 0.86, 0.38),
        (0, 1.0, 0.36),
        (-0.27, 1.03, 0.40),
        (0.27, 1.03, 0.40),
    ]  # 32-39: hubs, crank, saddle, head tube, stem, bar ends
    for x, turn in ((-0.13, who.stride), (0.13, who.stride + np.pi)):  # hip, knee, foot: 40-42, 43-45
        foot = (x, 0.32 + 0.17 * np.sin(turn), 0.0 + 0.17 * np.cos(turn))
        knee = (x * 1.25, (0.98 + foot[1]) / 2 + 0.07, 0.20 + 0.10 * np.cos(turn))
        joints += [(x, 0.98, -0.18), knee, foot]
    joints += [
        (-0.21, 1.42, 0.12),
        (0.21, 1.42, 0.12),
        (0.17, 1.15, -0.06),
        (0.18, 0.92, -0.22),
        (-0.18, 0.92, -0.22),
        (-0.17, 1.15, -0.06),
    ]  # torso 46-51
    joints += [
        (-0.29, 1.20, 0.28),
        (0.29, 1.20, 0.28),
        (0, 1.48, 0.16),
        (0, 1.62, 0.22),
        (0, 1.68, 0.20),
        (0, 0.95, -0.24),
    ]  # elbows 52 53, neck, head, helmet, saddle top 54-57
    points, metre, z = _place(view, who.s, who.d, who.heading, 0.0, np.array(joints, np.float64) * (who.height / 1.75))
    if z < 1.2 or not view.sees(points[54], metre):
        return

    def paint(colour: Rgb, tone: float = 1.0) -> Paint:
        return light.paint((colour[0] * tone, colour[1] * tone, colour[2] * tone), light.round, z, Label.BICYCLIST)

    rubber = paint((34, 34, 36))
    first, second = (16, 0) if who.heading > 0 else (0, 16)
    for start in (first, second):
        canvas.path(points[start : start + 16], 0.05 * metre, rubber, closed=True)
        for k in range(0, 8, 2):
            canvas.line(points[start + k], points[start + k + 8], 0.008 * metre, paint((150, 152, 154)))
    frame = paint(who.frame)
    for a, b in ((34, 35), (34, 36), (35, 36), (34, 32), (35, 32), (36, 33), (36, 37)):
        canvas.line(points[a], points[b], 0.045 * metre, frame)
    canvas.line(points[38], points[39], 0.04 * metre, rubber)
    canvas.line(points[35], points[57], 0.12 * metre, rubber)
    for start, tone in ((40, 0.88), (43, 1.0)):
        canvas.line(points[start], points[start + 1], 0.165 * metre, paint(who.legs, tone))
        canvas.line(points[start + 1], points[start + 2], 0.12 * metre, paint(who.legs, tone))
        canvas.disc(points[start + 2], 0.06 * metre, rubber)
    for shoulder, elbow, hand in ((46, 52, 38), (47, 53, 39)):
        canvas.line(points[shoulder], points[elbow], 0.10 * metre, paint(who.top, 0.88))
        canvas.line(points[elbow], points[hand], 0.08 * metre, paint(who.top, 0.88))
        canvas.disc(points[hand], 0.045 * metre, paint(who.skin))
    canvas.line(points[54], points[55], 0.09 * metre, paint(who.skin, 0.9))
    canvas.polygon(points[46:52], paint(who.top))
    canvas.line(points[46], points[47], 0.10 * metre, paint(who.top, 1.05))
    canvas.disc(points[55], 0.11 * metre, paint(who.skin))
    canvas.disc(points[56], 0.115 * metre, paint(who.helmet))
    if who.heading < 0:
        canvas.disc(points[55] + (0, 0.05 * metre), 0.08 * metre, paint(who.skin))
