-- What a node says of itself with its beats: what it tries again, and which runs of the queue it cannot run.

alter table flowstone.nodes add column report json;
comment on column flowstone.nodes.report is 'What it tries again and why, and runs in the queue that it cannot run.';
