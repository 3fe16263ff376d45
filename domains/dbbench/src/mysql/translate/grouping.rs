//! `ONLY_FULL_GROUP_BY`, which MySQL 8 checks by default: beside aggregates only what is grouped by, or fixed by an
//! equation, may be selected.

use super::call::is_aggregate;
use super::{Class, Problem, Result};
use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, OrderByExpr, Select,
    SelectItem, Value,
};

pub(super) fn full_group_by(select: &Select, order: &[OrderByExpr]) -> Result<()> {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(terms, _) => terms.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let items: Vec<&Expr> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        })
        .collect();
    let aggregates = items.iter().any(|item| has_aggregate(item)) || select.having.as_ref().is_some_and(has_aggregate);
    if grouped.is_empty() && !aggregates {
        return Ok(());
    }
    let mut fixed: Vec<String> = vec![];
    for term in grouped {
        fixed.push(key(term));
        // A term may be the number or the alias of an item.
        let by_number = match term {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => digits
                    .parse::<usize>()
                    .ok()
                    .and_then(|n| items.get(n.checked_sub(1)?).copied()),
                _ => None,
            },
            _ => None,
        };
        let by_alias = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if key(term) == alias.value.to_lowercase() => Some(expr),
            _ => None,
        });
        fixed.extend(by_number.into_iter().chain(by_alias).map(key));
    }
    if let Some(condition) = &select.selection {
        equations(condition, &mut fixed);
    }
    let aliases: Vec<String> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
            _ => None,
        })
        .collect();
    let wild = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let loose = |n: usize, what: &str| {
        let (code, state, how) = if grouped.is_empty() {
            (
                1140,
                "42000",
                format!(
                    "In aggregated query without GROUP BY, expression #{n} of {what} contains nonaggregated column"
                ),
            )
        } else {
            (
                1055,
                "42000",
                format!("Expression #{n} of {what} is not in GROUP BY clause and contains nonaggregated column"),
            )
        };
        Err(Problem::new(
            Class::Other,
            format!("{code} ({state}): {how}; this is incompatible with sql_mode=only_full_group_by"),
        ))
    };
    if wild && fixed.is_empty() {
        return loose(1, "SELECT list");
    }
    if let Some(n) = items.iter().position(|item| !covered(item, &fixed)) {
        return loose(n + 1, "SELECT list");
    }
    let in_order = order
        .iter()
        .position(|term| !grouped.is_empty() && !aliases.contains(&key(&term.expr)) && !covered(&term.expr, &fixed));
    match in_order {
        Some(n) => loose(n + 1, "ORDER BY clause"),
        None => Ok(()),
    }
}

/// An expression for comparison: columns without quotes and tables, in lower case.
fn key(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(name) => name.value.to_lowercase(),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.to_lowercase()).unwrap_or_default(),
        Expr::Nested(inner) => key(inner),
        other => other.to_string().to_lowercase().replace('`', ""),
    }
}

/// The columns that a conjunction equates with literals.
fn equations(condition: &Expr, fixed: &mut Vec<String>) {
    match condition {
        Expr::Nested(inner) => equations(inner, fixed),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            equations(left, fixed);
            equations(right, fixed);
        }
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } => match (&**left, &**right) {
            (column @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_)), Expr::Value(_))
            | (Expr::Value(_), column @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => fixed.push(key(column)),
            _ => {}
        },
        _ => {}
    }
}

fn has_aggregate(expression: &Expr) -> bool {
    match expression {
        Expr::Function(function)
            if function.over.is_none() && is_aggregate(&function.name.to_string().to_lowercase()) =>
        {
            true
        }
        other => parts(other).into_iter().any(has_aggregate),
    }
}

/// Whether its columns are all within aggregates or fixed.
fn covered(expression: &Expr, fixed: &[String]) -> bool {
    if fixed.contains(&key(expression)) {
        return true;
    }
    match expression {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => false,
        Expr::Function(function) if is_aggregate(&function.name.to_string().to_lowercase()) => true,
        other => parts(other).into_iter().all(|part| covered(part, fixed)),
    }
}

/// The expressions right below it. Subqueries count as having none.
fn parts(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Nested(a)
        | Expr::UnaryOp { expr: a, .. }
        | Expr::Cast { expr: a, .. }
        | Expr::Convert { expr: a, .. }
        | Expr::Collate { expr: a, .. }
        | Expr::IsNull(a)
        | Expr::IsNotNull(a)
        | Expr::IsTrue(a)
        | Expr::IsFalse(a)
        | Expr::IsNotTrue(a)
        | Expr::IsNotFalse(a)
        | Expr::Ceil { expr: a, .. }
        | Expr::Floor { expr: a, .. }
        | Expr::Extract { expr: a, .. } => vec![a],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Like { expr, pattern, .. } | Expr::RLike { expr, pattern, .. } => vec![expr, pattern],
        Expr::Position { expr, r#in } => vec![expr, r#in],
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::InList { expr, list, .. } => std::iter::once(&**expr).chain(list).collect(),
        Expr::InSubquery { expr, .. } => vec![expr],
        Expr::Trim { expr, trim_what, .. } => std::iter::once(&**expr).chain(trim_what.as_deref()).collect(),
        Expr::Substring {
            expr,
            substring_from,
            substring_for,
            ..
        } => std::iter::once(&**expr)
            .chain(substring_from.as_deref())
            .chain(substring_for.as_deref())
            .collect(),
        Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } => {
            let cases = conditions.iter().flat_map(|case| [&case.condition, &case.result]);
            operand
                .as_deref()
                .into_iter()
                .chain(cases)
                .chain(else_result.as_deref())
                .collect()
        }
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => list
                .args
                .iter()
                .filter_map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
                    _ => None,
                })
                .collect(),
            _ => vec![],
        },
        _ => vec![],
    }
}
