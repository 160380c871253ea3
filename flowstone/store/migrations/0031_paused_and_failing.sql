-- Who paused an automation, when and why: the event that says so, for as long as it is paused.

alter table flowstone.automations add column pausing json;
comment on column flowstone.automations.pausing is 'When, by whom and why it was paused; null if it is not, or was defined so.';

-- Why a delivery failed that is tried again; a failure for which one was given up is in another column.

alter table flowstone.followers add column failing json;
comment on column flowstone.followers.failing is 'Why something that may still wait was delivered in vain, the last time.';
