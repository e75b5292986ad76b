"""Kills, one after the other, at moments that depend on how far the work is, and starts again what was killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from tests.chaos.processes import Database, Program, until
from tests.chaos.world import World


def victims(world: World, kills: int, chance: Random) -> list[Program | Database]:
    """Who is killed, in which order: everybody in turn, and PostgreSQL twice at most."""
    ranks: list[Program | Database] = []
    while len(ranks) < kills:
        receivers = [site.receiver for site in world.sites]
        chance.shuffle(receivers)
        half = (len(receivers) + 1) // 2
        for some in (receivers[:half], receivers[half:]):
            turn: list[Program | Database] = [world.server, *world.workers, *some]
            chance.shuffle(turn)
            ranks += turn
    ranks = ranks[:kills]
    for place in (kills // 3, 2 * kills // 3)[: 1 if kills < 20 else 2] if kills >= 4 else ():
        ranks[place] = world.database
    return ranks


async def rage(world: World, kills: int, done: Callable[[], float], killed: Callable[[str], None]) -> None:
    """`done` is the share of the work that was begun: the kills are spread over it."""
    chance = Random(f"{world.conditions.seed}/kills")
    for number, victim in enumerate(victims(world, kills, chance)):
        await until(partial(_is_time, done, (number + 0.5) / (kills + 0.5)))
        await asyncio.sleep(chance.uniform(0, 0.3))
        await victim.kill()
        killed(victim.name)
        await asyncio.sleep(chance.uniform(0.1, 0.8))
        await victim.start()


def _is_time(done: Callable[[], float], share: float) -> bool:
    return done() >= share
