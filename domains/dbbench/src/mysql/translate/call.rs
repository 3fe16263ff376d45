//! Calls of functions: scalar ones, aggregates, windows.

use super::expression::{call, clipped, literal};
use super::{Class, Problem, Result, Translator};
use crate::mysql::collation::COLLATION;
use crate::mysql::functions::{PREFIX, scalar};
use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, ObjectNamePart, OrderByExpr, WindowSpec, WindowType,
};

impl Translator<'_> {
    pub(super) fn function(&mut self, function: &Function) -> Result<String> {
        let name = match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => name.value.to_ascii_lowercase(),
            _ => return Err(Problem::unsupported(&function.name)),
        };
        let none = FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![],
            clauses: vec![],
        };
        let list = match &function.args {
            FunctionArguments::List(list) => list,
            FunctionArguments::None => &none,
            FunctionArguments::Subquery(_) => return Err(Problem::syntax(function)),
        };
        if function.filter.is_some() || function.null_treatment.is_some() || !function.within_group.is_empty() {
            return Err(Problem::syntax(function));
        }
        if let Some(over) = &function.over {
            return self.window(&name, list, over);
        }
        if is_aggregate(&name) {
            return self.aggregate(&name, list);
        }
        if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(Problem::syntax(function));
        }
        let arguments = list.args.iter().map(plain).collect::<Result<Vec<_>>>()?;
        self.scalar(&name, &arguments)
    }

    fn scalar(&mut self, name: &str, arguments: &[&Expr]) -> Result<String> {
        let name = match name {
            "substr" | "mid" => "substring",
            "ucase" => "upper",
            "lcase" => "lower",
            "ceiling" => "ceil",
            "pow" => "power",
            "character_length" => "char_length",
            "octet_length" => "length",
            "dayofmonth" => "day",
            "log" if arguments.len() == 1 => "ln",
            other => other,
        };
        match (name, arguments) {
            ("if", [condition, yes, no]) => {
                let parts = self.expressions([*condition, *yes, *no])?;
                return Ok(format!(
                    "CASE WHEN {} THEN {} ELSE {} END",
                    parts[0], parts[1], parts[2]
                ));
            }
            ("ifnull", [_, _]) | ("coalesce", [_, _, ..]) => {
                return Ok(format!(
                    "coalesce({})",
                    self.expressions(arguments.iter().copied())?.join(", ")
                ));
            }
            ("coalesce", [one]) => return self.expression(one),
            ("isnull", [one]) => return Ok(format!("({} IS NULL)", self.expression(one)?)),
            ("nullif", [a, b]) => {
                let (equal, a) = (self.call("eq", &[a, b])?, self.expression(a)?);
                return Ok(format!("CASE WHEN {equal} THEN NULL ELSE {a} END"));
            }
            _ => {}
        }
        // What stands for operators and casts is no function of MySQL.
        let operator = matches!(
            name,
            "eq" | "ne"
                | "lt"
                | "le"
                | "gt"
                | "ge"
                | "add"
                | "sub"
                | "mul"
                | "div"
                | "intdiv"
                | "xor"
                | "like"
                | "neg"
                | "same"
                | "in"
                | "store"
                | "key"
                | "true"
        ) || name.starts_with("cast_");
        match scalar(name, arguments.len()).filter(|_| !operator) {
            Some(true) => self.call(name, arguments),
            Some(false) => Err(Problem::new(
                Class::Other,
                format!("1582 (42000): Incorrect parameter count in the call to native function '{name}'"),
            )),
            None => Err(Problem::new(
                Class::Unsupported,
                format!("1305 (42000): FUNCTION dbbench.{} does not exist", clipped(name)),
            )),
        }
    }

    fn aggregate(&mut self, name: &str, list: &FunctionArgumentList) -> Result<String> {
        let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
        let unique = if distinct { "DISTINCT " } else { "" };
        if let ("count", [FunctionArg::Unnamed(FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_))]) =
            (name, list.args.as_slice())
        {
            return Ok("count(*)".into());
        }
        let arguments = list.args.iter().map(plain).collect::<Result<Vec<_>>>()?;
        let arguments = self.expressions(arguments)?;
        if name == "group_concat" {
            return self.group_concat(distinct, &arguments, &list.clauses);
        }
        if !list.clauses.is_empty() {
            return Err(Problem::syntax(name));
        }
        match (name, arguments.as_slice()) {
            ("count", [one]) => Ok(format!("count({unique}{one} COLLATE {COLLATION})")),
            ("count", [_, _, ..]) if distinct => Ok(format!(
                "count(DISTINCT {} COLLATE {COLLATION})",
                call("concat", &separated(&arguments))
            )),
            ("sum" | "avg" | "min" | "max", [one]) => Ok(format!("{PREFIX}{name}({unique}{one})")),
            ("count" | "sum" | "avg" | "min" | "max", _) => Err(Problem::syntax(name)),
            _ => Err(Problem::unsupported(name)),
        }
    }

    fn group_concat(
        &mut self,
        distinct: bool,
        arguments: &[String],
        clauses: &[FunctionArgumentClause],
    ) -> Result<String> {
        let value = match arguments {
            [one] => one.clone(),
            several => call("concat", several),
        };
        let (mut order, mut separator) = (String::new(), None);
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(by) => order = format!(" ORDER BY {}", self.ordering(by)?),
                FunctionArgumentClause::Separator(text) => separator = Some(literal(&text.value)?),
                other => return Err(Problem::unsupported(other)),
            }
        }
        match (distinct, separator) {
            (false, Some(separator)) => Ok(format!("{PREFIX}group_concat({value}, {separator}{order})")),
            (false, None) => Ok(format!("{PREFIX}group_concat({value}{order})")),
            (true, None) => Ok(format!(
                "{PREFIX}group_concat(DISTINCT {value} COLLATE {COLLATION}{order})"
            )),
            (true, Some(_)) => Err(Problem::unsupported("GROUP_CONCAT(DISTINCT … SEPARATOR …)")),
        }
    }

    /// Sort terms, each with the collation for texts.
    pub(super) fn ordering(&mut self, by: &[OrderByExpr]) -> Result<String> {
        let terms = by
            .iter()
            .map(|term| Ok(ordered(&self.expression(&term.expr)?, descending(term)?)));
        Ok(terms.collect::<Result<Vec<_>>>()?.join(", "))
    }

    fn window(&mut self, name: &str, list: &FunctionArgumentList, over: &WindowType) -> Result<String> {
        let WindowType::WindowSpec(WindowSpec {
            partition_by,
            order_by,
            window_frame: None,
            window_name: None,
        }) = over
        else {
            return Err(Problem::unsupported("named windows and frames"));
        };
        if !matches!(name, "row_number" | "rank" | "dense_rank") || !list.args.is_empty() {
            return Err(Problem::unsupported(format!("{name} OVER")));
        }
        let mut window = vec![];
        if !partition_by.is_empty() {
            let parts = self
                .expressions(partition_by)?
                .into_iter()
                .map(|part| format!("{part} COLLATE {COLLATION}"));
            window.push(format!("PARTITION BY {}", parts.collect::<Vec<_>>().join(", ")));
        }
        if !order_by.is_empty() {
            window.push(format!("ORDER BY {}", self.ordering(order_by)?));
        }
        Ok(format!("{name}() OVER ({})", window.join(" ")))
    }
}

/// Names of aggregate functions.
pub(super) fn is_aggregate(name: &str) -> bool {
    matches!(
        name,
        "count"
            | "sum"
            | "avg"
            | "min"
            | "max"
            | "group_concat"
            | "std"
            | "stddev"
            | "stddev_pop"
            | "stddev_samp"
            | "variance"
            | "var_pop"
            | "var_samp"
            | "any_value"
            | "bit_and"
            | "bit_or"
            | "bit_xor"
            | "json_arrayagg"
            | "json_objectagg"
    )
}

/// A sort term.
pub(super) fn ordered(sql: &str, descending: bool) -> String {
    format!(
        "{PREFIX}key({sql}) COLLATE {COLLATION}{}",
        if descending { " DESC" } else { "" }
    )
}

/// Whether a sort term asks for the greatest first.
pub(super) fn descending(term: &OrderByExpr) -> Result<bool> {
    use sqlparser::ast::OrderBySort;
    match (&term.options.sort, term.options.nulls_first, &term.with_fill) {
        (None | Some(OrderBySort::Asc), None, None) => Ok(false),
        (Some(OrderBySort::Desc), None, None) => Ok(true),
        _ => Err(Problem::syntax(term)),
    }
}

fn plain(argument: &FunctionArg) -> Result<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Ok(expression),
        other => Err(Problem::syntax(other)),
    }
}

/// With a character between them that no text holds.
fn separated(parts: &[String]) -> Vec<String> {
    let mut all = vec![];
    for part in parts {
        all.extend([part.clone(), "char(31)".to_owned()]);
    }
    all
}
