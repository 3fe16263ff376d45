//! Queries.

use super::call::{descending, ordered};
use super::grouping::full_group_by;
use super::{Problem, Result, Translator, identifier, quoted, table_name};
use crate::mysql::collation::COLLATION;
use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, LimitClause, ObjectName, OrderByExpr, OrderByKind,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableAlias,
    TableFactor, TableWithJoins, Value,
};

impl Translator<'_> {
    pub(super) fn query(&mut self, query: &Query) -> Result<String> {
        let outer = self.common.len();
        let sql = self.query_in_scope(query);
        self.common.truncate(outer);
        sql
    }

    fn query_in_scope(&mut self, query: &Query) -> Result<String> {
        if query.fetch.is_some()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || !query.pipe_operators.is_empty()
        {
            return Err(Problem::syntax(query));
        }
        let mut sql = String::new();
        if let Some(with) = &query.with {
            let mut tables = vec![];
            for table in &with.cte_tables {
                let name = identifier(&table.alias.name)?.to_owned();
                if with.recursive {
                    self.common.push(name.clone());
                }
                let body = self.query(&table.query)?;
                self.common.push(name.clone());
                let columns: Vec<_> = table
                    .alias
                    .columns
                    .iter()
                    .map(|column| quoted(&column.name.value))
                    .collect();
                let columns = if columns.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", columns.join(", "))
                };
                tables.push(format!("{}{columns} AS ({body})", quoted(&name)));
            }
            sql += &format!(
                "WITH {}{} ",
                if with.recursive { "RECURSIVE " } else { "" },
                tables.join(", ")
            );
        }
        let order = match query.order_by.as_ref().map(|by| &by.kind) {
            None => &[][..],
            Some(OrderByKind::Expressions(terms)) => terms,
            Some(OrderByKind::All(_)) => return Err(Problem::syntax("ALL")),
        };
        sql += &match &*query.body {
            SetExpr::Select(select) => self.select(select, order)?,
            other => {
                let mut sql = self.set(other)?;
                // Terms of a compound are names or numbers of its columns.
                let terms = order.iter().map(|term| {
                    let column = match &term.expr {
                        Expr::Identifier(name) => quoted(identifier(name)?),
                        Expr::Value(number) if matches!(number.value, Value::Number(..)) => number.to_string(),
                        other => return Err(Problem::unsupported(format!("ORDER BY {other} of a UNION"))),
                    };
                    Ok(format!("{column}{}", if descending(term)? { " DESC" } else { "" }))
                });
                let terms = terms.collect::<Result<Vec<_>>>()?;
                if !terms.is_empty() {
                    sql += &format!(" ORDER BY {}", terms.join(", "));
                }
                sql
            }
        };
        Ok(sql + &limit(query.limit_clause.as_ref())?)
    }

    fn set(&mut self, body: &SetExpr) -> Result<String> {
        match body {
            SetExpr::Select(select) => self.select(select, &[]),
            SetExpr::Query(query) => Ok(format!("SELECT * FROM ({})", self.query(query)?)),
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let all = match set_quantifier {
                    SetQuantifier::All => " ALL",
                    SetQuantifier::Distinct | SetQuantifier::None => "",
                    other => return Err(Problem::syntax(other)),
                };
                let op = match (op, all) {
                    (SetOperator::Union, _) => "UNION",
                    (SetOperator::Intersect, "") => "INTERSECT",
                    (SetOperator::Except, "") => "EXCEPT",
                    _ => return Err(Problem::unsupported(op)),
                };
                Ok(format!("{} {op}{all} {}", self.set(left)?, self.set(right)?))
            }
            SetExpr::Values(values) => {
                let rows = values
                    .rows
                    .iter()
                    .map(|row| Ok(format!("({})", self.expressions(&row.content)?.join(", "))));
                Ok(format!("VALUES {}", rows.collect::<Result<Vec<_>>>()?.join(", ")))
            }
            other => Err(Problem::syntax(other)),
        }
    }

    fn select(&mut self, select: &Select, order: &[OrderByExpr]) -> Result<String> {
        let foreign = select.top.is_some()
            || select.into.is_some()
            || select.exclude.is_some()
            || select.prewhere.is_some()
            || select.qualify.is_some()
            || !select.lateral_views.is_empty()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || !select.named_window.is_empty();
        if foreign {
            return Err(Problem::unsupported("this kind of SELECT"));
        }
        full_group_by(select, order)?;
        let distinct = match &select.distinct {
            None | Some(Distinct::All) => "",
            Some(Distinct::Distinct) => "DISTINCT ",
            Some(Distinct::On(_)) => return Err(Problem::syntax("ON")),
        };
        let items = select
            .projection
            .iter()
            .map(|item| self.item(item))
            .collect::<Result<Vec<_>>>()?;
        let mut sql = format!("SELECT {distinct}{}", items.join(", "));
        let from = select
            .from
            .iter()
            .filter(|table| !dual(table))
            .map(|table| self.joined(table))
            .collect::<Result<Vec<_>>>()?;
        if !from.is_empty() {
            sql += &format!(" FROM {}", from.join(", "));
        }
        if let Some(condition) = &select.selection {
            sql += &format!(" WHERE {}", self.expression(condition)?);
        }
        match &select.group_by {
            GroupByExpr::Expressions(terms, modifiers) if modifiers.is_empty() => {
                let terms = terms.iter().map(|term| {
                    let term = self.expression(named(select, term))?;
                    Ok(format!("{term} COLLATE {COLLATION}"))
                });
                let terms = terms.collect::<Result<Vec<_>>>()?;
                if !terms.is_empty() {
                    sql += &format!(" GROUP BY {}", terms.join(", "));
                }
            }
            _ => return Err(Problem::unsupported("WITH ROLLUP")),
        }
        if let Some(condition) = &select.having {
            sql += &format!(" HAVING {}", self.expression(condition)?);
        }
        let terms = order
            .iter()
            .map(|term| Ok(ordered(&self.expression(named(select, &term.expr))?, descending(term)?)));
        let terms = terms.collect::<Result<Vec<_>>>()?;
        if !terms.is_empty() {
            sql += &format!(" ORDER BY {}", terms.join(", "));
        }
        Ok(sql)
    }

    fn item(&mut self, item: &SelectItem) -> Result<String> {
        match item {
            SelectItem::UnnamedExpr(expression @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => {
                self.expression(expression)
            }
            SelectItem::UnnamedExpr(expression) => Ok(format!(
                "{} AS {}",
                self.expression(expression)?,
                quoted(&expression.to_string())
            )),
            SelectItem::ExprWithAlias { expr, alias } => {
                Ok(format!("{} AS {}", self.expression(expr)?, quoted(&alias.value)))
            }
            SelectItem::Wildcard(_) => Ok("*".into()),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                Ok(format!("{}.*", quoted(table_name(name)?)))
            }
            other => Err(Problem::syntax(other)),
        }
    }

    pub(super) fn joined(&mut self, table: &TableWithJoins) -> Result<String> {
        let mut sql = self.factor(&table.relation)?;
        for join in &table.joins {
            sql += &self.join(join)?;
        }
        Ok(sql)
    }

    fn join(&mut self, join: &Join) -> Result<String> {
        let (kind, constraint) = match &join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::StraightJoin(c) => ("JOIN", c),
            JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => ("LEFT JOIN", c),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => ("RIGHT JOIN", c),
            _ => return Err(Problem::syntax(join)),
        };
        let table = self.factor(&join.relation)?;
        Ok(match constraint {
            JoinConstraint::On(condition) => format!(" {kind} {table} ON {}", self.expression(condition)?),
            JoinConstraint::Using(columns) => {
                let columns = columns
                    .iter()
                    .map(|column| Ok(quoted(table_name(column)?)))
                    .collect::<Result<Vec<_>>>()?;
                format!(" {kind} {table} USING ({})", columns.join(", "))
            }
            JoinConstraint::Natural => format!(" NATURAL {kind} {table}"),
            JoinConstraint::None => format!(" {kind} {table}"),
        })
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<String> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version: None,
                sample: None,
                json_path: None,
                partitions,
                ..
            } if partitions.is_empty() => {
                let table = match information_schema(name) {
                    Some(view) => format!("({})", view.ok_or_else(|| Problem::no_table(&name.to_string()))?),
                    None => self.table(name)?,
                };
                Ok(table + &aliased(alias.as_ref())?)
            }
            TableFactor::Derived {
                lateral: false,
                subquery,
                alias: Some(alias),
                sample: None,
            } => Ok(format!("({}){}", self.query(subquery)?, aliased(Some(alias))?)),
            TableFactor::Derived { alias: None, .. } => Err(Problem::new(
                super::Class::Other,
                "1248 (42000): Every derived table must have its own alias",
            )),
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => Ok(format!("({})", self.joined(table_with_joins)?)),
            other => Err(Problem::unsupported(other)),
        }
    }
}

fn aliased(alias: Option<&TableAlias>) -> Result<String> {
    Ok(match alias {
        None => String::new(),
        Some(alias) if alias.columns.is_empty() => format!(" AS {}", quoted(identifier(&alias.name)?)),
        Some(alias) => return Err(Problem::unsupported(alias)),
    })
}

/// The tables that describe the tables, as queries; `Some(None)` for those that are not here.
fn information_schema(name: &ObjectName) -> Option<Option<&'static str>> {
    let [schema, table] = name.0.as_slice() else {
        return None;
    };
    if !schema
        .to_string()
        .trim_matches('`')
        .eq_ignore_ascii_case("information_schema")
    {
        return None;
    }
    let table = table.to_string().trim_matches('`').to_ascii_uppercase();
    Some(match table.as_str() {
        "TABLES" => Some(
            "SELECT 'def' AS TABLE_CATALOG, 'dbbench' AS TABLE_SCHEMA, name AS TABLE_NAME, 'BASE TABLE' AS TABLE_TYPE \
             FROM sqlite_schema WHERE type = 'table'",
        ),
        "COLUMNS" => Some(
            "SELECT 'def' AS TABLE_CATALOG, 'dbbench' AS TABLE_SCHEMA, t.name AS TABLE_NAME, c.name AS COLUMN_NAME, \
             c.cid + 1 AS ORDINAL_POSITION, NULL AS COLUMN_DEFAULT, 'YES' AS IS_NULLABLE, 'text' AS DATA_TYPE, 'text' AS COLUMN_TYPE, \
             '' AS COLUMN_KEY FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
        ),
        _ => None,
    })
}

/// The item of the SELECT list that a sort or group term names by its alias or number.
fn named<'s>(select: &'s Select, term: &'s Expr) -> &'s Expr {
    let item = match term {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse::<usize>().ok().and_then(|n| select.projection.get(n.checked_sub(1)?)),
            _ => None,
        },
        Expr::Identifier(name) => select.projection.iter().find(
            |item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value.eq_ignore_ascii_case(&name.value)),
        ),
        _ => None,
    };
    match item {
        Some(SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) => expr,
        _ => term,
    }
}

fn dual(table: &TableWithJoins) -> bool {
    matches!(&table.relation, TableFactor::Table { name, .. } if name.to_string().eq_ignore_ascii_case("dual"))
}

/// `LIMIT`, whose numbers are literals.
pub(super) fn limit(clause: Option<&LimitClause>) -> Result<String> {
    let number = |expression: &Expr| match expression {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(digits.parse().unwrap_or(i64::MAX).to_string())
            }
            other => Err(Problem::syntax(other)),
        },
        other => Err(Problem::syntax(other)),
    };
    Ok(match clause {
        None => String::new(),
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
            format!(" LIMIT {} OFFSET {}", number(limit)?, number(offset)?)
        }
        Some(LimitClause::LimitOffset {
            limit: Some(limit),
            offset,
            limit_by,
        }) if limit_by.is_empty() => match offset {
            Some(offset) => format!(" LIMIT {} OFFSET {}", number(limit)?, number(&offset.value)?),
            None => format!(" LIMIT {}", number(limit)?),
        },
        Some(other) => return Err(Problem::syntax(other)),
    })
}
