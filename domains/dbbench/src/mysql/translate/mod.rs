//! MySQL statements as SQLite statements.
//!
//! A statement is parsed as MySQL's and written anew, node by node: comparison, arithmetic and functions become calls of
//! [`super::functions`], and what is not known here does not reach SQLite at all.

mod call;
mod change;
mod expression;
mod grouping;
mod query;

use super::datum::Datum;
use sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementIn,
    ShowStatementOptions, Statement,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::BTreeMap;

/// Tables by name, each with its columns in order.
pub type Catalog = BTreeMap<String, Vec<String>>;

/// Longest statement, in bytes.
pub const MAX_SQL: usize = 65_536;

/// How deep expressions and queries may nest.
const MAX_DEPTH: usize = 40;

/// Operators of a statement. A chain of them is as deep a tree, which the depth above does not bound.
const MAX_OPERATORS: usize = 400;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Run these in SQLite; rows of the last are the result.
    Run(Vec<String>),
    /// These rows are the result.
    Rows(Vec<Vec<Datum>>),
}

/// Why a statement is refused: the class for counting, and what MySQL says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Problem {
    /// Its class.
    pub class: Class,
    /// MySQL's text.
    pub text: String,
}

/// Classes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// MySQL cannot parse it either.
    Syntax,
    /// No such table.
    Table,
    /// No such column.
    Column,
    /// MySQL can do it, this world cannot.
    Unsupported,
    /// It took too much time or memory.
    Limit,
    /// Anything else that MySQL refuses too.
    Other,
}

impl Problem {
    pub fn new(class: Class, text: impl Into<String>) -> Self {
        Self {
            class,
            text: text.into(),
        }
    }

    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new(
            Class::Unsupported,
            format!("1235 (42000): This version of MySQL doesn't yet support '{what}'"),
        )
    }

    pub fn syntax(near: impl std::fmt::Display) -> Self {
        Self::new(
            Class::Syntax,
            format!(
                "1064 (42000): You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version \
                 for the right syntax to use near '{near}' at line 1"
            ),
        )
    }

    pub fn no_table(name: &str) -> Self {
        Self::new(
            Class::Table,
            format!("1146 (42S02): Table 'dbbench.{name}' doesn't exist"),
        )
    }

    pub fn no_column(name: &str) -> Self {
        Self::new(
            Class::Column,
            format!("1054 (42S22): Unknown column '{name}' in 'field list'"),
        )
    }
}

type Result<T> = std::result::Result<T, Problem>;

/// Writes statements for a catalog.
pub struct Translator<'a> {
    catalog: &'a Catalog,
    /// Names of common table expressions in scope.
    common: Vec<String>,
}

/// Plan a statement.
///
/// # Errors
/// What MySQL says to it.
pub fn plan(sql: &str, catalog: &Catalog) -> Result<Plan> {
    if sql.len() > MAX_SQL {
        return Err(Problem::new(
            Class::Limit,
            "1153 (08S01): Got a packet bigger than 'max_allowed_packet' bytes",
        ));
    }
    let broken = |error: String| Problem::syntax(near(sql, &error));
    let tokens = Tokenizer::new(&MySqlDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| broken(error.to_string()))?;
    if tokens.iter().filter(|token| operator(token)).count() > MAX_OPERATORS {
        return Err(Problem::new(Class::Limit, "1436 (HY000): Thread stack overrun"));
    }
    let parser = Parser::new(&MySqlDialect {}).with_recursion_limit(MAX_DEPTH);
    let parsed = parser.with_tokens_with_locations(tokens).parse_statements();
    let mut statements = parsed.map_err(|error| broken(error.to_string()))?;
    match (statements.pop(), statements.is_empty()) {
        (None, _) => Ok(Plan::Rows(vec![])),
        (Some(statement), true) => Translator {
            catalog,
            common: vec![],
        }
        .statement(&statement),
        (Some(second), false) => Err(Problem::syntax(second)),
    }
}

/// Whether a token may join two parts of an expression or a query.
fn operator(token: &TokenWithSpan) -> bool {
    match &token.token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::DIV
                | Keyword::LIKE
                | Keyword::RLIKE
                | Keyword::REGEXP
                | Keyword::IN
                | Keyword::IS
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
        ),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon
        | Token::Whitespace(_)
        | Token::EOF => false,
        _ => true,
    }
}

/// Where the parser stopped, as MySQL shows it: the text from there on.
fn near(sql: &str, error: &str) -> String {
    let place = error.rsplit_once("Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((line.parse::<usize>().ok()?, column.trim().parse::<usize>().ok()?))
    });
    let Some((line, column)) = place else {
        return String::new();
    };
    let rest = sql.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    rest.chars().skip(column.saturating_sub(1)).take(80).collect()
}

impl Translator<'_> {
    fn statement(&mut self, statement: &Statement) -> Result<Plan> {
        let run = |sql: String| Ok(Plan::Run(vec![sql]));
        match statement {
            Statement::Query(query) => run(self.query(query)?),
            Statement::Insert(insert) => run(self.insert(insert)?),
            Statement::Update(update) => run(self.update(update)?),
            Statement::Delete(delete) => run(self.delete(delete)?),
            Statement::CreateTable(create) => run(self.create(create)?),
            Statement::AlterTable(alter) => self.alter(alter),
            Statement::Truncate(truncate) => self.truncate(truncate),
            Statement::Drop {
                object_type: sqlparser::ast::ObjectType::Table,
                if_exists,
                names,
                ..
            } => self.drop(names, *if_exists),
            Statement::ShowTables { show_options, .. } => self.show_tables(show_options),
            Statement::ShowColumns { show_options, .. } => self.show_columns(show_options),
            Statement::ExplainTable { table_name, .. } => self.describe(table_name),
            Statement::ShowCreate { obj_name, .. } => self.show_create(obj_name),
            // Each statement is its own transaction in the original.
            Statement::StartTransaction { .. } | Statement::Commit { .. } | Statement::Rollback { .. } => {
                Ok(Plan::Rows(vec![]))
            }
            other => Err(Problem::unsupported(
                other.to_string().split_whitespace().next().unwrap_or_default(),
            )),
        }
    }

    /// A table that there is, quoted.
    fn table(&self, name: &ObjectName) -> Result<String> {
        let name = table_name(name)?;
        if self.catalog.contains_key(name) || self.common.iter().any(|common| common == name) {
            Ok(quoted(name))
        } else {
            Err(Problem::no_table(name))
        }
    }

    fn columns(&self, name: &ObjectName) -> Result<&[String]> {
        let name = table_name(name)?;
        self.catalog
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| Problem::no_table(name))
    }

    fn describe(&self, name: &ObjectName) -> Result<Plan> {
        let text = |text: &str| Datum::Text(text.into());
        let row = |column: &String| vec![text(column), text("text"), text("YES"), text(""), Datum::Null, text("")];
        Ok(Plan::Rows(self.columns(name)?.iter().map(row).collect()))
    }

    fn show_columns(&self, options: &ShowStatementOptions) -> Result<Plan> {
        let Some(ShowStatementIn {
            parent_name: Some(name),
            ..
        }) = &options.show_in
        else {
            return Err(Problem::syntax(""));
        };
        self.describe(name)
    }

    fn show_tables(&self, options: &ShowStatementOptions) -> Result<Plan> {
        let pattern = match &options.filter_position {
            None => None,
            Some(
                ShowStatementFilterPosition::Infix(ShowStatementFilter::Like(pattern))
                | ShowStatementFilterPosition::Suffix(ShowStatementFilter::Like(pattern)),
            ) => Some(pattern),
            Some(_) => return Err(Problem::unsupported("SHOW TABLES WHERE")),
        };
        let shown = |name: &&String| pattern.is_none_or(|pattern| super::collation::like(name, pattern, Some('\\')));
        Ok(Plan::Rows(
            self.catalog
                .keys()
                .filter(shown)
                .map(|name| vec![Datum::Text(name.clone())])
                .collect(),
        ))
    }

    fn show_create(&self, name: &ObjectName) -> Result<Plan> {
        let columns: Vec<_> = self
            .columns(name)?
            .iter()
            .map(|column| format!("  {} text", quoted(column)))
            .collect();
        let name = table_name(name)?;
        let text = format!(
            "CREATE TABLE {} (\n{}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci",
            quoted(name),
            columns.join(",\n")
        );
        Ok(Plan::Rows(vec![vec![Datum::Text(name.to_owned()), Datum::Text(text)]]))
    }
}

/// The name of a table, without that of its database.
fn table_name(name: &ObjectName) -> Result<&str> {
    match name.0.as_slice() {
        [.., ObjectNamePart::Identifier(name)] => identifier(name),
        _ => Err(Problem::syntax(name)),
    }
}

/// An identifier's text. MySQL's double quotes make a text and no name.
fn identifier(ident: &Ident) -> Result<&str> {
    match ident.quote_style {
        Some('\'' | '"') => Err(Problem::syntax(ident)),
        // MySQL takes no spaces at the end of a name.
        _ => Ok(ident.value.as_str()),
    }
}

/// An identifier as SQLite never takes it for a text.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``").replace('\0', ""))
}

/// A text as SQLite reads it.
fn text(text: &str) -> String {
    if text.contains('\0') {
        format!("CAST({} AS TEXT)", blob(text))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn blob(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("X'{hex}'")
}
