"""An audit as text for people."""

from bpsweep.data.audit import Audit


def format_audit(audit: Audit) -> str:
    """The findings as paragraphs and small tables, about 80 characters wide."""
    lines = [f"{audit.n_cells} cells, {audit.task}", ""]
    lines += ["plate barcode      cells  fields  wells                    condition"]
    for plate in audit.plates:
        numbers = f"{plate['n_cells']:5}  {plate['n_fields']:6}"
        wells, conditions = " ".join(plate["wells"]), ", ".join(plate["conditions"])
        lines.append(
            f"{plate['plate']:5} {plate['barcode']:12} {numbers}  {wells:23}  {conditions}"
        )
    lines += ["", "Which labels follow from what"]
    for label, kinds in audit.functions_of.items():
        n_values = audit.values[label]
        if n_values == 1:
            lines.append(f"  {label} has one value")
        else:
            determined = ", ".join(kinds) if kinds else "none of " + ", ".join(audit.n_groups)
            lines.append(f"  {label} ({n_values} values) is a function of: {determined}")
    if audit.split is not None:
        lines += ["", f"Split {audit.split!r}, {audit.n_val} validation cells"]
        for kind, leak in audit.leaks.items():
            lines.append(
                f"  {100 * leak.share_of_validation_cells:5.1f} % share their {kind} with training "
                f"({leak.n_groups_on_both_sides} of {leak.n_groups} {kind}s)"
            )
    lines += ["", "Label vectors"]
    lines += [
        f"  {name:18} {n:6}  {100 * n / audit.n_cells:5.1f} %"
        for name, n in audit.label_vectors.items()
    ]
    if audit.degenerate:
        lines.append("  The dose follows from the particle: multi-label is single-label again.")
    lines += [
        "",
        "What an accuracy can mean",
        f"  {100 * audit.majority:5.1f} % always saying the commonest label vector",
        f"  {100 * audit.share_sham:5.1f} % of the cells are sham: no biology tells their particle",
        f"  {100 * audit.best_without_plate:5.1f} % at most without knowing the plate, all cells",
    ]
    if audit.best_without_plate_val is not None:
        lines.append(f"  {100 * audit.best_without_plate_val:5.1f} % the same, validation cells")
    return "\n".join([*lines, "", audit.line])
