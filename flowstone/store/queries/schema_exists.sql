select to_regclass('flowstone.migrations') is not null
