-- The data marts. Their tables are created by the loads, from the columns of the models.

create schema if not exists core;
create schema if not exists sales;
create schema if not exists marketing;
create schema if not exists operations;
create schema if not exists support;
create schema if not exists finance;

comment on schema core is 'Facts and dimensions that the other marts share';
comment on schema sales is 'What was sold where, and what could be';
comment on schema marketing is 'Engagement, sessions and loyalty';
comment on schema operations is 'Stock, restocking and stock-outs';
comment on schema support is 'Interactions with customers, feedback and resolution times';
comment on schema finance is 'Revenue, payments and subscriptions';
