"""What goes wrong in here without being the config's fault."""


class NotStarted(Exception):
    """The engine could not be started this time, and the sentence says why; the next time may go better."""
