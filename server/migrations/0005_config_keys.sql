-- 1 and 1.0 are one value since version 0.2: the configurations handed out before are renamed.
UPDATE OR IGNORE trials SET config_key = normalize_key(config_key);
