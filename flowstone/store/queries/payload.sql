select location, content from flowstone.payloads where location = any ($1::text[])
