"""What the counters of agent.status count, for the metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counted:
    about: str
    labels: tuple[str, ...] = ()
    """All that it may carry; one that is missing is empty."""


COUNTERS = {
    "bugs_total": Counted("Errors that should not be, each with a traceback in the log.", ("part",)),
    "captions_failed_total": Counted("Frames that no captioner could caption.", ("camera", "kind")),
    "captions_total": Counted("Captions made.", ("camera", "captioner")),
    "delivered_total": Counted("Observations that an output has taken.", ("output",)),
    "dropped_total": Counted(
        "Observations lost on the way: the journal could not take them (camera), or an output never got them (output).",
        ("camera", "output", "reason"),
    ),
    "engine_restarts_total": Counted(
        "Times that an engine was found running as another process than ten seconds before; waking is none.",
        ("captioner",),
    ),
    "fallbacks_total": Counted(
        "Frames passed on to this captioner, as the one before it could not.", ("camera", "captioner")
    ),
    "frames_dropped_total": Counted("Frames taken and never captioned.", ("camera", "reason")),
    "frames_total": Counted("Frames taken.", ("camera",)),
    "journal_errors_total": Counted("Times that the journal could not be read or written."),
    "listeners_dropped_total": Counted("Listeners to the live stream that were cut off.", ("reason",)),
    "looks_failed_total": Counted("Looks that came to nothing.", ("camera", "kind")),
    "looks_failed_untold_total": Counted(
        "Those of them that were only counted, as the same had been told before.", ("camera", "kind")
    ),
    "looks_merged_total": Counted("Looks that fell due while the one before still waited to begin.", ("camera",)),
    "observations_total": Counted("Observations told: captions, and failures that were news.", ("camera",)),
    "output_failures_total": Counted("Times that an output could not deliver.", ("output",)),
    "pictures_dropped_total": Counted("Pictures that the journal could not take.", ("camera", "reason")),
    "reloads_failed_total": Counted("Times that config.yaml was read anew and could not be taken over."),
    "reloads_total": Counted("Times that config.yaml was taken over anew."),
    "removed_total": Counted("Observations and pictures removed from the journal.", ("reason",)),
    "sent_pictures_dropped_total": Counted(
        "Pictures as the model got them that the journal could not take.", ("camera", "reason")
    ),
    "visits_refused_total": Counted("Pictures brought along that were refused, as too many were under way."),
    "web_connections_cut_total": Counted(
        "Connections to the pages that were ended: too many (full), no whole request in time (late), or a client that "
        "took nothing of its answer (stalled).",
        ("reason",),
    ),
    "web_logins_total": Counted("Logins to the pages: right, wrong, or tried too often.", ("outcome",)),
    "web_refused_total": Counted("Requests to the pages and the API that were refused.", ("reason",)),
}
