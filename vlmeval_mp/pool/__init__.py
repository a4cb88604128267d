"""The processes of a run: a supervisor, its workers, the devices they are pinned to, where they come from."""
