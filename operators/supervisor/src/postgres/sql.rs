//! The SQL that the supervisor has run.

use crate::login::Login;

/// Begins to look at one moment of the data, and gives it a name for others to look at it too:
/// <https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION>.
/// Rows that a policy would hide are an error, for `pg_dump` too.
pub(super) const SNAPSHOT: &str = "set row_security = off;
set statement_timeout = 0;
set idle_in_transaction_session_timeout = 0;
begin isolation level repeatable read read only;
select pg_export_snapshot();";

/// How many rows each table has that is dumped with its rows, as `["schema.table", 3]`.
pub(super) const COUNTS: &str = r"select format(
    'select json_build_array(%L, count(*)) from only %I.%I',
    namespace.nspname || '.' || class.relname, namespace.nspname, class.relname)
from pg_class class join pg_namespace namespace on namespace.oid = class.relnamespace
where class.relkind = 'r' and class.relpersistence in ('p', 'u')
and namespace.nspname not like 'pg\_%' and namespace.nspname <> 'information_schema'
and not exists (select from pg_depend depend where depend.classid = 'pg_class'::regclass
    and depend.objid = class.oid and depend.deptype = 'e')
order by namespace.nspname, class.relname \gexec";

/// Whose is what a database has: `nothing`, `own` or `others`. It is what is in a schema of users, and
/// whatever else is this user's, which is what [`CLEAR`] drops. Extensions and their parts are none of
/// it, nor are rights on what is still to come: a database may be made with both. Parts of other things
/// do not count by themselves: a range's functions are the super-user's.
pub(super) const CONTENTS: &str = r"with thing as (
    select classid, objid, false as own from pg_depend
    join pg_namespace namespace on namespace.oid = refobjid
    where refclassid = 'pg_namespace'::regclass and deptype = 'n'
    and namespace.nspname not like 'pg\_%' and namespace.nspname <> 'information_schema'
    union all
    select classid, objid, true from pg_shdepend
    join pg_database database on database.oid = dbid
    where database.datname = current_database() and deptype = 'o'
    and refclassid = 'pg_authid'::regclass and pg_get_userbyid(refobjid) = current_user
), found as (
    select bool_or(own) as own from thing
    where classid not in ('pg_extension'::regclass, 'pg_default_acl'::regclass)
    and not (classid = 'pg_namespace'::regclass
        and exists (select from pg_namespace where oid = objid and nspname = 'public'))
    and not exists (select from pg_depend part where part.classid = thing.classid
        and part.objid = thing.objid and part.deptype in ('e', 'i'))
    group by classid, objid
)
select case when count(*) = 0 then 'nothing' when bool_and(own) then 'own' else 'others' end
from found;";

/// Drops everything that is this user's, but neither the database nor the schema that it came with:
/// <https://www.postgresql.org/docs/current/sql-drop-owned.html>. A login that acts as the owner of
/// everything is that owner here, too.
pub(super) const CLEAR: &str = r"select exists (select from pg_namespace
    where nspname = 'public' and pg_get_userbyid(nspowner) = current_user) as public \gset
begin;
drop owned by current_user cascade;
\if :public
create schema public;
\endif
commit;";

/// The role that owns everything, its database, and that it may come in without a password.
pub(super) fn owner(database: &str) -> String {
    let roles = roles(database, &[]);
    let role = identifier(database);
    format!("{roles}alter role {role} with login nosuperuser nocreatedb nocreaterole;\n")
}

/// A database's name where a whole address may stand:
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE>.
pub(super) fn address(database: &str) -> String {
    let escaped = database.replace('\\', "\\\\").replace('\'', "\\'");
    format!("dbname='{escaped}'")
}

/// SQL that may run again and again. What the users make belongs to one role that is called like the
/// database, whoever of them makes it: that user itself, and the others act as it.
pub(super) fn roles(database: &str, logins: &[Login]) -> String {
    let role = missing_role(database);
    let made = missing_database(database, database, "");
    format!("{QUIET}{role}{made}{}", users(database, logins))
}

/// A database that is its owner's.
pub(super) fn missing_database(name: &str, owner: &str, more: &str) -> String {
    let (database, role) = (identifier(name), identifier(owner));
    format!(
        "select {} where not exists (select from pg_database where datname = {}) \\gexec
alter database {database} owner to {role};
",
        literal(&format!("create database {database} owner {role}{more}")),
        literal(name),
    )
}

/// The users of an owner's role, which is there, with their passwords.
pub(super) fn users(name: &str, logins: &[Login]) -> String {
    let owner = identifier(name);
    let mut sql = String::new();
    for Login { username, password } in logins {
        let role = identifier(username);
        if username != name {
            sql += &missing_role(username);
        }
        sql += &format!(
            "alter role {role} with login nosuperuser nocreatedb nocreaterole password {};
",
            literal(password)
        );
        if username != name {
            sql += &format!(
                "grant {owner} to {role};
alter role {role} set role to {owner};
"
            );
        }
    }
    sql
}

/// What follows has passwords in it.
pub(super) const QUIET: &str =
    "set log_statement = 'none';\nset log_min_error_statement = 'panic';\n";

pub(super) fn missing_role(name: &str) -> String {
    format!(
        "select {} where not exists (select from pg_roles where rolname = {}) \\gexec\n",
        literal(&format!("create role {}", identifier(name))),
        literal(name),
    )
}

/// A session may have left the owner's role, by `discard all` for one: what it made then is the
/// owner's all the same.
pub(super) fn ownership(database: &str, logins: &[Login]) -> String {
    let owner = identifier(database);
    let others = logins.iter().filter(|login| login.username != database);
    others
        .map(|login| {
            let role = identifier(&login.username);
            format!(
                "reassign owned by {role} to {owner};
"
            )
        })
        .collect()
}

/// A user's SQL in one transaction, which leaves a mark. As a text within a text it reaches the server
/// as it is: psql would run lines of it that begin with a backslash. The server refuses to end the
/// transaction within it.
pub(super) fn beginning(text: &str) -> String {
    let run = format!("begin execute {}; end", literal(text));
    format!(
        "begin;\ndo {};\ncreate schema trackbed_begun;\ncommit;",
        literal(&run)
    )
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// With `standard_conforming_strings`, which is on unless somebody turns it off, a backslash is one.
pub(super) fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{escaped}'")
}

/// libpq's own file for passwords: <https://www.postgresql.org/docs/current/libpq-pgpass.html>.
pub(super) fn passwords(logins: &[Login]) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    logins
        .iter()
        .map(|login| {
            format!(
                "*:*:*:{}:{}\n",
                escape(&login.username),
                escape(&login.password)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &str, password: &str) -> Login {
        Login {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    #[test]
    fn what_two_users_make_belongs_to_one() {
        let logins = [login("app_2", "two"), login("app", "one")];
        expect_test::expect![[r#"
            set log_statement = 'none';
            set log_min_error_statement = 'panic';
            select E'create role "app"' where not exists (select from pg_roles where rolname = E'app') \gexec
            select E'create database "app" owner "app"' where not exists (select from pg_database where datname = E'app') \gexec
            alter database "app" owner to "app";
            select E'create role "app_2"' where not exists (select from pg_roles where rolname = E'app_2') \gexec
            alter role "app_2" with login nosuperuser nocreatedb nocreaterole password E'two';
            grant "app" to "app_2";
            alter role "app_2" set role to "app";
            alter role "app" with login nosuperuser nocreatedb nocreaterole password E'one';
            reassign owned by "app_2" to "app";
        "#]]
            .assert_eq(&(roles("app", &logins) + &ownership("app", &logins)));
    }

    #[test]
    fn what_a_database_begins_with_is_the_servers_to_read() {
        let text = "create table t (a text default 'it''s');\n\\! id\n";
        expect_test::expect![[r#"
            begin;
            do E'begin execute E''create table t (a text default ''''it''''''''s'''');
            \\\\! id
            ''; end';
            create schema trackbed_begun;
            commit;"#]]
        .assert_eq(&beginning(text));
    }

    #[test]
    fn names_stay_names_in_addresses() {
        assert_eq!(address("app"), "dbname='app'");
        assert_eq!(address(r"a' host='b\"), r"dbname='a\' host=\'b\\'");
    }

    #[test]
    fn hostile_credentials_stay_text() {
        let logins = [login("a\"; drop role x; --", "p'; drop table \\x")];
        expect_test::expect![[r#"
            set log_statement = 'none';
            set log_min_error_statement = 'panic';
            select E'create role "d''b"' where not exists (select from pg_roles where rolname = E'd''b') \gexec
            select E'create database "d''b" owner "d''b"' where not exists (select from pg_database where datname = E'd''b') \gexec
            alter database "d'b" owner to "d'b";
            select E'create role "a""; drop role x; --"' where not exists (select from pg_roles where rolname = E'a"; drop role x; --') \gexec
            alter role "a""; drop role x; --" with login nosuperuser nocreatedb nocreaterole password E'p''; drop table \\x';
            grant "d'b" to "a""; drop role x; --";
            alter role "a""; drop role x; --" set role to "d'b";
            reassign owned by "a""; drop role x; --" to "d'b";
        "#]]
            .assert_eq(&(roles("d'b", &logins) + &ownership("d'b", &logins)));
        expect_test::expect![[r#"
            *:*:*:a\:b:c\\d\:e
        "#]]
        .assert_eq(&passwords(&[login("a:b", "c\\d:e")]));
    }
}
