"""What a plan asks of its adapters, and what the user does."""

from conflictopt import AdapterDesign, Plan
from conflictopt.selection.design import design_of


def plan(**design):
    return Plan("adapters + reweighting", "ntk", True, "planted.", design)


def test_the_plan_asks_and_the_user_wins():
    assert design_of(plan(), AdapterDesign()) == AdapterDesign()
    assert design_of(plan(rank=2), AdapterDesign()).rank == 2
    found = design_of(plan(rank=2, activation="linear"), AdapterDesign(rank=3, scale="sum"))
    assert (found.rank, found.activation, found.scale) == (3, "linear", "sum")


def test_a_share_belongs_to_its_routing():
    mixed = plan(routing="mixed", share=0.5)
    assert design_of(mixed, AdapterDesign()).share == 0.5
    assert design_of(mixed, AdapterDesign(routing="exclusive")) == AdapterDesign(
        routing="exclusive"
    )
