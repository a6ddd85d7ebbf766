"""How fast looks were, what waited and what it took: of the last hour and day, for the pages and the metrics."""

from agent.figures.figures import Figures
from agent.figures.sample import Engine, Outlet, Sample, make_sampler
from agent.figures.steps import STAGES, Stage, Summary
from agent.figures.view import View, WindowName

__all__ = ["STAGES", "Engine", "Figures", "Outlet", "Sample", "Stage", "Summary", "View", "WindowName", "make_sampler"]
