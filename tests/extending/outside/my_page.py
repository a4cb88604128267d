"""A report page from outside: which models there are."""

from markupsafe import Markup

from vlmeval_mp.report.gather import RunView
from vlmeval_mp.report.pages import Options, Page


def page(run: RunView, options: Options) -> Page:
    """Return the tab with the names of the models."""
    names = ", ".join(model.name for model in run.record.spec.models)
    return Page(title="Who", html=Markup("<p>Asked: {}</p>").format(names))
