"""The formula sheet: every formula of minirec and of the document, one entry each, one file per family.

The definitions are loops over the formula as it is written in the paper; they import nothing of minirec, and
they are what the tests compare with. `SHEET` holds all entries by name, `FAMILIES` their names by family.
"""

from collections.abc import Sequence

from minirec.verify.formula import Formula
from minirec.verify.formulas import (
    activations,
    attention,
    bert4rec,
    blocks,
    candidates,
    closed_form,
    counted,
    differences,
    document,
    factorization,
    factorization_loss,
    heads,
    interactions,
    layers,
    losses,
    metrics,
    models,
    modules,
    optimizers,
    ranking,
    relative,
    sampling,
    sasrec_network,
    significance,
    softmax,
    splits,
    stacks,
    step_losses,
    step_size,
    svd_plus_plus,
    tables,
    transformer,
    transformer_xl,
)

FAMILIES: dict[str, Sequence[Formula]] = {
    "activations": activations.FORMULAS,
    "layers": layers.FORMULAS,
    "tables": tables.FORMULAS,
    "softmax": softmax.FORMULAS,
    "attention": attention.FORMULAS,
    "heads": heads.FORMULAS,
    "modules": modules.FORMULAS,
    "blocks": blocks.FORMULAS,
    "stacks": (*stacks.FORMULAS, *transformer.FORMULAS),
    "models": models.FORMULAS,
    "sequence": (*sasrec_network.FORMULAS, *step_losses.FORMULAS),
    "bert4rec": bert4rec.FORMULAS,
    "relative": (*relative.FORMULAS, *transformer_xl.FORMULAS),
    "losses": losses.FORMULAS,
    "interactions": interactions.FORMULAS,
    "splits": splits.FORMULAS,
    "sampling": sampling.FORMULAS,
    "counted": counted.FORMULAS,
    "closed_form": closed_form.FORMULAS,
    "factorization": (*factorization.FORMULAS, *svd_plus_plus.FORMULAS),
    "factorization_loss": factorization_loss.FORMULAS,
    "candidates": candidates.FORMULAS,
    "document": document.FORMULAS,
    "ranking": ranking.FORMULAS,
    "metrics": (*metrics.FORMULAS, *significance.FORMULAS),
    "optimizers": optimizers.FORMULAS,
    "step_size": step_size.FORMULAS,
    "differences": differences.FORMULAS,
}
SHEET: dict[str, Formula] = {formula.name: formula for family in FAMILIES.values() for formula in family}
