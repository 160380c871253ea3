-- For the rest of the transaction, rows are looked for by index, however small the statistics say that a table is: they are those
-- of a while ago, or there are none yet, and what is cheap in a table of ten rows takes minutes in one of a million.
select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)
