//! Statements that change rows or tables.

use super::query::limit;
use super::{Class, Plan, Problem, Result, Translator, identifier, quoted, table_name};
use crate::mysql::collation::COLLATION;
use crate::mysql::functions::PREFIX;
use sqlparser::ast::{
    AlterTable, AlterTableOperation, Assignment, AssignmentTarget, CreateTable, Delete, Expr, FromTable, Insert,
    LimitClause, ObjectName, OrderByExpr, Query, RenameTableNameKind, SetExpr, TableFactor, TableObject,
    TableWithJoins, Truncate, Update,
};

/// What a column keeps of a value.
fn kept(sql: &str) -> String {
    format!("{PREFIX}store({sql})")
}

impl Translator<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<String> {
        let TableObject::TableName(name) = &insert.table else {
            return Err(Problem::syntax(insert));
        };
        let foreign = insert.overwrite
            || insert.partitioned.is_some()
            || insert.returning.is_some()
            || insert.or.is_some()
            || insert.insert_alias.is_some();
        if foreign || !insert.after_columns.is_empty() || !insert.multi_table_into_clauses.is_empty() {
            return Err(Problem::syntax(insert));
        }
        // Without keys nothing is ever a duplicate, so IGNORE, REPLACE and ON DUPLICATE KEY change nothing.
        let (table, known) = (self.table(name)?, self.columns(name)?.to_vec());
        let mut columns = insert
            .columns
            .iter()
            .map(|column| self.column(&known, column))
            .collect::<Result<Vec<_>>>()?;
        let rows = match insert.source.as_deref() {
            Some(Query { with: None, body, .. }) if matches!(**body, SetExpr::Values(_)) => {
                let SetExpr::Values(values) = &**body else {
                    return Err(Problem::syntax(insert));
                };
                let width = if columns.is_empty() { known.len() } else { columns.len() };
                let mut rows = vec![];
                for (n, row) in values.rows.iter().enumerate() {
                    if row.content.len() != width && !(row.content.is_empty() && columns.is_empty()) {
                        let text = format!("1136 (21S01): Column count doesn't match value count at row {}", n + 1);
                        return Err(Problem::new(Class::Other, text));
                    }
                    let mut cells = vec![];
                    for i in 0..width {
                        cells.push(match row.content.get(i) {
                            None => "NULL".into(),
                            Some(Expr::Identifier(name)) if name.value.eq_ignore_ascii_case("default") => "NULL".into(),
                            Some(value) => kept(&self.expression(value)?),
                        });
                    }
                    rows.push(format!("({})", cells.join(", ")));
                }
                format!("VALUES {}", rows.join(", "))
            }
            Some(query) => {
                let width = if columns.is_empty() { known.len() } else { columns.len() };
                let source = self.query(query)?;
                let names: Vec<_> = (0..width).map(|i| format!("c{i}")).collect();
                let cells: Vec<_> = names.iter().map(|name| kept(name)).collect();
                format!(
                    "WITH source ({}) AS ({source}) SELECT {} FROM source",
                    names.join(", "),
                    cells.join(", ")
                )
            }
            None if !insert.assignments.is_empty() => {
                let mut cells = vec![];
                for assignment in &insert.assignments {
                    columns.push(self.target(&known, assignment)?);
                    cells.push(kept(&self.expression(&assignment.value)?));
                }
                format!("VALUES ({})", cells.join(", "))
            }
            None => return Err(Problem::syntax(insert)),
        };
        let columns: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        let columns = if columns.is_empty() {
            String::new()
        } else {
            format!(" ({})", columns.join(", "))
        };
        Ok(format!("INSERT INTO {table}{columns} {rows}"))
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<String> {
        if update.from.is_some() || update.returning.is_some() || update.or.is_some() {
            return Err(Problem::syntax(update));
        }
        let (name, alias) = single(&update.table)?;
        let (table, known) = (self.table(name)?, self.columns(name)?.to_vec());
        let mut set: Vec<(String, String)> = vec![];
        for assignment in &update.assignments {
            let column = self.target(&known, assignment)?;
            self.not_from(name, &assignment.value)?;
            let (value, before) = (self.expression(&assignment.value)?, &set);
            // Assignments are made from left to right, and see what those before have made.
            if before.iter().any(|(earlier, _)| mentions(&assignment.value, earlier)) {
                return Err(Problem::unsupported("SET of a column by another that is set before"));
            }
            set.push((column, kept(&value)));
        }
        let set: Vec<_> = set
            .iter()
            .map(|(column, value)| format!("{} = {value}", quoted(column)))
            .collect();
        let rows = self.rows(
            name,
            &table,
            alias,
            update.selection.as_ref(),
            &update.order_by,
            update.limit.as_ref(),
        )?;
        Ok(format!("UPDATE {table}{} SET {}{rows}", named(alias), set.join(", ")))
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<String> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let [from] = from.as_slice() else {
            return Err(Problem::unsupported("DELETE from several tables"));
        };
        if delete.using.is_some() || delete.returning.is_some() || !delete.tables.is_empty() {
            return Err(Problem::unsupported("DELETE from several tables"));
        }
        let (name, alias) = single(from)?;
        let table = self.table(name)?;
        let rows = self.rows(
            name,
            &table,
            alias,
            delete.selection.as_ref(),
            &delete.order_by,
            delete.limit.as_ref(),
        )?;
        Ok(format!("DELETE FROM {table}{}{rows}", named(alias)))
    }

    /// The rows that a change is for. SQLite knows no LIMIT here, so those within it are named by their `rowid`.
    fn rows(
        &mut self,
        name: &ObjectName,
        table: &str,
        alias: Option<&str>,
        condition: Option<&Expr>,
        order: &[OrderByExpr],
        most: Option<&Expr>,
    ) -> Result<String> {
        let condition = match condition {
            Some(condition) => {
                self.not_from(name, condition)?;
                format!(" WHERE {}", self.expression(condition)?)
            }
            None => String::new(),
        };
        let Some(most) = most else { return Ok(condition) };
        let most = limit(Some(&LimitClause::LimitOffset {
            limit: Some(most.clone()),
            offset: None,
            limit_by: vec![],
        }))?;
        let order = if order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", self.ordering(order)?)
        };
        Ok(format!(
            " WHERE rowid IN (SELECT rowid FROM {table}{}{condition}{order}{most})",
            named(alias)
        ))
    }

    /// MySQL refuses to change a table that a subquery of the change reads directly.
    fn not_from(&self, name: &ObjectName, expression: &Expr) -> Result<()> {
        let target = table_name(name)?;
        if reads(expression, target) {
            let text = format!("1093 (HY000): You can't specify target table '{target}' for update in FROM clause");
            return Err(Problem::new(Class::Other, text));
        }
        Ok(())
    }

    fn target(&self, known: &[String], assignment: &Assignment) -> Result<String> {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => self.column(known, name),
            AssignmentTarget::Tuple(_) => Err(Problem::syntax(assignment)),
        }
    }

    fn column(&self, known: &[String], name: &ObjectName) -> Result<String> {
        let name = table_name(name)?;
        known
            .iter()
            .find(|column| column.eq_ignore_ascii_case(name))
            .cloned()
            .ok_or_else(|| Problem::no_column(name))
    }

    pub(super) fn create(&mut self, create: &CreateTable) -> Result<String> {
        if create.query.is_some() || create.like.is_some() || create.temporary || !create.constraints.is_empty() {
            return Err(Problem::unsupported("this kind of CREATE TABLE"));
        }
        let name = table_name(&create.name)?;
        if self.catalog.contains_key(name) && !create.if_not_exists {
            return Err(Problem::new(
                Class::Other,
                format!("1050 (42S01): Table '{name}' already exists"),
            ));
        }
        let columns = create
            .columns
            .iter()
            .map(|column| Ok(column_of(identifier(&column.name)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(format!(
            "CREATE TABLE IF NOT EXISTS {} ({})",
            quoted(name),
            columns.join(", ")
        ))
    }

    pub(super) fn alter(&mut self, alter: &AlterTable) -> Result<Plan> {
        let (table, known) = (self.table(&alter.name)?, self.columns(&alter.name)?.to_vec());
        let mut statements = vec![];
        for operation in &alter.operations {
            let old = |name: &str| {
                let found = known.iter().find(|column| column.eq_ignore_ascii_case(name));
                found
                    .map(|column| quoted(column))
                    .ok_or_else(|| Problem::no_column(name))
            };
            let step = match operation {
                AlterTableOperation::AddColumn {
                    column_def,
                    column_position: None,
                    ..
                } => format!("ADD COLUMN {}", column_of(identifier(&column_def.name)?)),
                AlterTableOperation::DropColumn { column_names, .. } => match column_names.as_slice() {
                    [one] => format!("DROP COLUMN {}", old(identifier(one)?)?),
                    _ => return Err(Problem::syntax(operation)),
                },
                AlterTableOperation::RenameColumn {
                    old_column_name,
                    new_column_name,
                } => {
                    format!(
                        "RENAME COLUMN {} TO {}",
                        old(identifier(old_column_name)?)?,
                        quoted(identifier(new_column_name)?)
                    )
                }
                AlterTableOperation::RenameTable {
                    table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name),
                } => {
                    format!("RENAME TO {}", quoted(table_name(name)?))
                }
                other => return Err(Problem::unsupported(format!("ALTER TABLE {other}"))),
            };
            statements.push(format!("ALTER TABLE {table} {step}"));
        }
        Ok(Plan::Run(statements))
    }

    pub(super) fn truncate(&mut self, truncate: &Truncate) -> Result<Plan> {
        let tables = truncate
            .table_names
            .iter()
            .map(|target| Ok(format!("DELETE FROM {}", self.table(&target.name)?)));
        Ok(Plan::Run(tables.collect::<Result<_>>()?))
    }

    pub(super) fn drop(&mut self, names: &[ObjectName], if_exists: bool) -> Result<Plan> {
        let mut statements = vec![];
        for name in names {
            match self.table(name) {
                Ok(table) => statements.push(format!("DROP TABLE {table}")),
                Err(_) if if_exists => {}
                Err(_) => {
                    let text = format!("1051 (42S02): Unknown table 'dbbench.{}'", table_name(name)?);
                    return Err(Problem::new(Class::Table, text));
                }
            }
        }
        Ok(Plan::Run(statements))
    }
}

/// A column as all of them are: text, compared by MySQL's collation.
pub fn column_of(name: &str) -> String {
    format!("{} TEXT COLLATE {COLLATION}", quoted(name))
}

fn named(alias: Option<&str>) -> String {
    alias.map(|alias| format!(" AS {}", quoted(alias))).unwrap_or_default()
}

/// The one table of a change, with its alias.
fn single(table: &TableWithJoins) -> Result<(&ObjectName, Option<&str>)> {
    match &table.relation {
        TableFactor::Table { name, alias, .. } if table.joins.is_empty() => {
            Ok((name, alias.as_ref().map(|alias| identifier(&alias.name)).transpose()?))
        }
        _ => Err(Problem::unsupported("a change of joined tables")),
    }
}

/// Whether a column is named in it.
fn mentions(expression: &Expr, column: &str) -> bool {
    let quotes = |c| matches!(c, '`' | ' ' | '(' | ')' | ',');
    expression
        .to_string()
        .split(quotes)
        .any(|word| word.eq_ignore_ascii_case(column))
        || (column.contains(' ') && expression.to_string().contains(column))
}

/// Whether a subquery in it reads the table, other than through a derived table.
fn reads(expression: &Expr, table: &str) -> bool {
    let in_query = |query: &Query| match &*query.body {
        SetExpr::Select(select) => select.from.iter().any(|from| {
            let tables = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
            tables
                .into_iter()
                .any(|factor| matches!(factor, TableFactor::Table { name, .. } if table_name(name) == Ok(table)))
        }),
        _ => false,
    };
    match expression {
        Expr::Subquery(query) | Expr::Exists { subquery: query, .. } => in_query(query),
        Expr::InSubquery { subquery, expr, .. } => in_query(subquery) || reads(expr, table),
        Expr::BinaryOp { left, right, .. } => reads(left, table) || reads(right, table),
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => reads(inner, table),
        Expr::InList { expr, list, .. } => reads(expr, table) || list.iter().any(|item| reads(item, table)),
        _ => false,
    }
}
