-- Presets of charts (Vega specifications) that clients create and runs name; see W&B's plot_table.
CREATE TABLE custom_charts (
    id           INTEGER PRIMARY KEY,
    entity       TEXT NOT NULL,
    name         TEXT NOT NULL,
    display_name TEXT NOT NULL,
    type         TEXT NOT NULL,
    access       TEXT NOT NULL,
    spec         TEXT NOT NULL,
    created_at   REAL NOT NULL,
    updated_at   REAL NOT NULL,
    UNIQUE (entity, name)
);
