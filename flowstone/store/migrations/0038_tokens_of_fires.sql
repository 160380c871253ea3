-- What an automation did is known by its change as well: that is sent again after a lost answer also when somebody else has
-- changed the automation since, and the row of the automation knows only the last change.

alter table flowstone.automation_fires add column token text, add column answer json;
comment on column flowstone.automation_fires.token is 'The change that did it: one that is sent again after a lost answer is not made twice.';
comment on column flowstone.automation_fires.answer is 'The runs of that change.';
