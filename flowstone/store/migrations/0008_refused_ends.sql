-- Attempts on other nodes that have ended, though the database does not take the record of their ends.

alter table flowstone.step_leases add column refused text;
comment on column flowstone.step_leases.refused is 'Why the end of the attempt cannot be recorded; its run is told.';
