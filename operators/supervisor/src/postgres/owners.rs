//! The SQL for databases besides the application's, and their owners.

use std::collections::BTreeSet;

use super::{
    further::{Listed, There},
    sql::{QUIET, identifier, literal, missing_database, missing_role, users},
};
use crate::login::Login;

/// Who reads the metrics of several servers, by the socket of each:
/// <https://cloudnative-pg.io/documentation/1.30/monitoring/>.
pub(super) const METRICS: &str = "cnpg_metrics_exporter";
/// What the name of an owner's second user ends with.
pub(super) const SECOND: &str = "_2";
/// What a database is made of: in the other template somebody may be, and nothing is made of it then.
const APART: &str = " template template0";

/// The databases of the server but its own, as `{"name": …, "owner": …, "superuser": …}`.
pub(super) const THERE: &str = "select json_build_object('name', database.datname,
    'owner', owner.rolname, 'superuser', owner.rolsuper)
from pg_database database join pg_roles owner on owner.oid = database.datdba
where database.datallowconn and not database.datistemplate and database.datname <> 'postgres'
order by database.datname;";

/// Those that whoever takes backups may act for the owners of, but the one that is asked in.
pub(super) const FURTHER: &str = "select json_build_object('name', database.datname,
    'owner', owner.rolname, 'superuser', owner.rolsuper)
from pg_database database join pg_roles owner on owner.oid = database.datdba
join pg_roles backup on backup.rolname = 'trackbed_backup'
where database.datallowconn and not database.datistemplate
and database.datname not in ('postgres', current_database())
and pg_has_role(backup.oid, owner.oid, 'member')
order by database.datname;";

/// The extensions of a database that are a super-user's, as `[\"name\"]`: an owner cannot create them.
pub(super) const EXTENSIONS: &str = "select json_build_array(extension.extname)
from pg_extension extension join pg_roles owner on owner.oid = extension.extowner
where owner.rolsuper and extension.extname <> 'plpgsql'
order by extension.oid;";

/// Takes the comments off the same ones.
pub(super) const UNCOMMENT: &str = r"select format('comment on extension %I is null', extname)
from pg_extension extension join pg_roles owner on owner.oid = extension.extowner
where owner.rolsuper and extname <> 'plpgsql'
and obj_description(extension.oid, 'pg_extension') is not null \gexec";

/// Whether the image has an extension.
pub(super) fn available(extension: &str) -> String {
    format!(
        "select count(*) from pg_available_extensions where name = {};",
        literal(extension)
    )
}

/// Creates an extension, with those that it needs.
pub(super) fn extension(name: &str) -> String {
    format!(
        "set client_min_messages = warning;\ncreate extension if not exists {} cascade;",
        identifier(name)
    )
}

/// Everything about owners and their databases. What belongs to others, whom somebody made by hand,
/// stays as it is; those whom a backup brought are not let in since then. `there` is what there was
/// before.
pub(super) fn sql(
    main: &str,
    listed: &Listed,
    there: &[There],
    differing: &[(String, String)],
) -> String {
    let mut sql = QUIET.to_owned();
    let others = there
        .iter()
        .filter(|it| it.name != main && it.owner != main && !it.superuser);
    for owner in &listed.owners {
        if owner.ended {
            for login in owner.logins() {
                sql += &shut(&login.username);
            }
        } else {
            sql += &missing_role(&owner.name);
            sql += &users(&owner.name, &owner.logins());
        }
    }
    for name in strangers(listed, others.clone()) {
        sql += &brought(name);
    }
    let mine = |name: &str| !differing.iter().any(|(it, _)| it == name);
    let further = listed.databases.iter().filter(|it| it.name != main);
    let mut further = further.peekable();
    // Alone it has nobody of ours to keep out.
    if further.peek().is_some() {
        sql += &closed(main);
        sql += &measured(main);
    }
    for database in further.filter(|it| mine(&it.name)) {
        sql += &missing_database(&database.name, &database.owner, APART);
        sql += &closed(&database.name);
    }
    sql += &backup(listed, others);
    sql
}

/// Who owns databases that are not listed, and never were.
fn strangers<'a>(listed: &Listed, others: impl Iterator<Item = &'a There>) -> BTreeSet<&'a str> {
    let known = |name: &str| listed.owners.iter().any(|it| it.name == name);
    let owners = others.map(|it| it.owner.as_str());
    owners.filter(|it| !known(it)).collect()
}

/// One whom an archive brought, which has the other Database's users with it, is told by the second
/// user, and is not let in by either until somebody lists what it owns.
fn brought(owner: &str) -> String {
    let second = format!("{owner}{SECOND}");
    let pair = format!(
        "exists (select from pg_auth_members pair join pg_roles owner on owner.oid = pair.roleid join pg_roles second on second.oid = pair.member where owner.rolname = {} and second.rolname = {}) and ",
        literal(owner),
        literal(&second),
    );
    shut_if(&second, &pair) + &shut_if(owner, &pair)
}

/// Whoever takes backups may act as any owner, and can enter where one can.
fn backup<'a>(listed: &Listed, others: impl Iterator<Item = &'a There>) -> String {
    let name = &listed.backup.username;
    let mut sql = missing_role(name);
    sql += &users(name, std::slice::from_ref(&listed.backup));
    let active = listed.owners.iter().filter(|it| !it.ended);
    let mut owners: Vec<_> = active.map(|it| it.name.as_str()).collect();
    owners.extend(others.map(|it| it.owner.as_str()));
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        sql += &format!("grant {} to {};\n", identifier(owner), identifier(name));
    }
    sql
}

/// Nobody enters a database but its owner, and who acts for that.
pub(super) fn closed(database: &str) -> String {
    format!(
        "revoke connect, temporary on database {} from public;\n",
        identifier(database)
    )
}

/// Lets the role in by which CloudNativePG's metrics are read, where there is one.
fn measured(database: &str) -> String {
    format!(
        "select {} where exists (select from pg_roles where rolname = {}) \\gexec\n",
        literal(&format!(
            "grant connect on database {} to {}",
            identifier(database),
            identifier(METRICS)
        )),
        literal(METRICS),
    )
}

/// A role that is not let in, if it is there.
fn shut(role: &str) -> String {
    shut_if(role, "")
}

/// The same under a condition, which ends with `and`.
fn shut_if(role: &str, holds: &str) -> String {
    format!(
        "select {} where {holds}exists (select from pg_roles where rolname = {} and rolcanlogin) \\gexec\n",
        literal(&format!("alter role {} nologin", identifier(role))),
        literal(role),
    )
}

/// What a backup is restored into: a database whose owner is let in by the scratch server alone, which
/// asks for no password.
pub(super) fn restored(database: &str, owner: &str) -> String {
    let (role, name) = (missing_role(owner), identifier(owner));
    let made = missing_database(database, owner, APART);
    let closed = closed(database);
    format!(
        "{role}alter role {name} with login nosuperuser nocreatedb nocreaterole;\n{made}{closed}"
    )
}

/// The same where a password is asked for, which nobody but the restore knows.
pub(super) fn restored_by(database: &str, owner: &Login) -> String {
    let restored = restored(database, &owner.username);
    let (name, password) = (identifier(&owner.username), literal(&owner.password));
    format!("{QUIET}{restored}alter role {name} password {password};\n")
}

/// A database that was made for a backup which does not come back whole.
pub(super) fn unmade(database: &str) -> String {
    format!(
        "drop database if exists {} with (force);\n",
        identifier(database)
    )
}

/// The end of that: nobody knows whether it is still wanted.
pub(super) fn forget(owner: &str) -> String {
    format!("alter role {} nologin;\n", identifier(owner))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::{
        login::Login,
        postgres::further::{Database, Owner},
    };

    fn login(username: &str, password: &str) -> Login {
        Login {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    fn owner(name: &str, ended: bool) -> Owner {
        Owner {
            name: name.to_owned(),
            ended,
            current: login(&format!("{name}_2"), "two"),
            reserve: login(name, "one"),
        }
    }

    fn database(name: &str, owner: &str) -> Database {
        Database {
            name: name.to_owned(),
            owner: owner.to_owned(),
            extensions: Vec::new(),
        }
    }

    fn there(name: &str, owner: &str) -> There {
        There {
            name: name.to_owned(),
            owner: owner.to_owned(),
            superuser: owner == "postgres",
        }
    }

    #[test]
    fn owners_enter_their_own_databases_alone() {
        let listed = Listed {
            version: "a1".to_owned(),
            databases: vec![
                database("app", "app"),
                database("shop", "web"),
                database("theirs", "web"),
            ],
            owners: vec![owner("web", false), owner("gone", true)],
            backup: login("trackbed_backup", "three"),
        };
        let there = [
            there("app", "app"),
            there("by_hand", "postgres"),
            there("old", "unlisted"),
            there("theirs", "somebody"),
        ];
        let differing = listed.differing(&there);
        assert_eq!(differing, [("theirs".to_owned(), "somebody".to_owned())]);
        expect![[r#"
            set log_statement = 'none';
            set log_min_error_statement = 'panic';
            select E'create role "web"' where not exists (select from pg_roles where rolname = E'web') \gexec
            select E'create role "web_2"' where not exists (select from pg_roles where rolname = E'web_2') \gexec
            alter role "web_2" with login nosuperuser nocreatedb nocreaterole password E'two';
            grant "web" to "web_2";
            alter role "web_2" set role to "web";
            alter role "web" with login nosuperuser nocreatedb nocreaterole password E'one';
            select E'alter role "gone_2" nologin' where exists (select from pg_roles where rolname = E'gone_2' and rolcanlogin) \gexec
            select E'alter role "gone" nologin' where exists (select from pg_roles where rolname = E'gone' and rolcanlogin) \gexec
            select E'alter role "somebody_2" nologin' where exists (select from pg_auth_members pair join pg_roles owner on owner.oid = pair.roleid join pg_roles second on second.oid = pair.member where owner.rolname = E'somebody' and second.rolname = E'somebody_2') and exists (select from pg_roles where rolname = E'somebody_2' and rolcanlogin) \gexec
            select E'alter role "somebody" nologin' where exists (select from pg_auth_members pair join pg_roles owner on owner.oid = pair.roleid join pg_roles second on second.oid = pair.member where owner.rolname = E'somebody' and second.rolname = E'somebody_2') and exists (select from pg_roles where rolname = E'somebody' and rolcanlogin) \gexec
            select E'alter role "unlisted_2" nologin' where exists (select from pg_auth_members pair join pg_roles owner on owner.oid = pair.roleid join pg_roles second on second.oid = pair.member where owner.rolname = E'unlisted' and second.rolname = E'unlisted_2') and exists (select from pg_roles where rolname = E'unlisted_2' and rolcanlogin) \gexec
            select E'alter role "unlisted" nologin' where exists (select from pg_auth_members pair join pg_roles owner on owner.oid = pair.roleid join pg_roles second on second.oid = pair.member where owner.rolname = E'unlisted' and second.rolname = E'unlisted_2') and exists (select from pg_roles where rolname = E'unlisted' and rolcanlogin) \gexec
            revoke connect, temporary on database "app" from public;
            select E'grant connect on database "app" to "cnpg_metrics_exporter"' where exists (select from pg_roles where rolname = E'cnpg_metrics_exporter') \gexec
            select E'create database "shop" owner "web" template template0' where not exists (select from pg_database where datname = E'shop') \gexec
            alter database "shop" owner to "web";
            revoke connect, temporary on database "shop" from public;
            select E'create role "trackbed_backup"' where not exists (select from pg_roles where rolname = E'trackbed_backup') \gexec
            alter role "trackbed_backup" with login nosuperuser nocreatedb nocreaterole password E'three';
            grant "somebody" to "trackbed_backup";
            grant "unlisted" to "trackbed_backup";
            grant "web" to "trackbed_backup";
        "#]]
        .assert_eq(&sql("app", &listed, &there, &differing));
    }

    #[test]
    fn a_restore_over_the_network_lets_in_itself_alone() {
        expect![[r#"
            set log_statement = 'none';
            set log_min_error_statement = 'panic';
            select E'create role "web"' where not exists (select from pg_roles where rolname = E'web') \gexec
            alter role "web" with login nosuperuser nocreatedb nocreaterole;
            select E'create database "shop" owner "web" template template0' where not exists (select from pg_database where datname = E'shop') \gexec
            alter database "shop" owner to "web";
            revoke connect, temporary on database "shop" from public;
            alter role "web" password E'p''q';
        "#]].assert_eq(&restored_by("shop", &login("web", "p'q")));
        expect![[r#"
            drop database if exists "shop" with (force);
            alter role "web" nologin;
        "#]]
        .assert_eq(&(unmade("shop") + &forget("web")));
    }
}
