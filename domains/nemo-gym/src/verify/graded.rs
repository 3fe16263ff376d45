//! `imo_gradingbench` and `proof_genselect`: an opinion on proofs.

use super::{Acts, Broken, Server, Verdict};
use crate::pattern::Pattern;
use crate::response::{Item, Response};
use hone_python::Value;
use hone_python::text::{int, is_space, strip};

/// A grade for a proof.
pub const IMO_GRADINGBENCH: Server = Server {
    name: "imo_gradingbench",
    about: "the last word is the right grade: correct, almost, partial or incorrect",
    verify: |row, response, _| {
        let text = response.assistant_lines();
        let last = strip(&text).rsplit(is_space).next().unwrap_or_default();
        let said = PUNCTUATION.replaced(last, "").to_lowercase();
        let wanted = strip(row.str("expected_answer").unwrap_or_default()).to_lowercase();
        let right = GRADES.contains(&said.as_str()) && said == wanted;
        Ok(Verdict::pass(right, format!("read {said:.40?}, wanted {wanted:?}")))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        row.str("expected_answer")
            .map(|grade| Response::text(format!("The grade is {grade}")))
    },
};

/// The better of two proofs.
pub const PROOF_GENSELECT: Server = Server {
    name: "proof_genselect",
    about: "the number in `<best_solution>` is that of the right proof",
    verify: |row, response, _| {
        let wanted = row
            .get("correct_index")
            .and_then(Value::as_i64)
            .ok_or_else(|| Broken::field("correct_index"))?;
        let said = selected(&text_of(response));
        Ok(Verdict::pass(
            said == Some(wanted),
            said.map_or("no proof was chosen".into(), |said| format!("chose {said}")),
        ))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        Some(Response::text(format!(
            "<best_solution>{}</best_solution>",
            row.get("correct_index")?
        )))
    },
};

const GRADES: [&str; 4] = ["correct", "almost", "partial", "incorrect"];

static PUNCTUATION: Pattern = Pattern::new(r"[*_`.,;:!?()\[\]{}]+");
fn text_of(response: &Response) -> String {
    let texts = response.items.iter().filter_map(|item| match item {
        Item::Message { role, texts } if role == "assistant" => Some(texts.concat()),
        _ => None,
    });
    texts.collect()
}

/// The number after the last thought, 1 or 2.
fn selected(text: &str) -> Option<i64> {
    let text = text.rsplit("</think>").next()?;
    let (_, after) = text.split_once("<best_solution>")?;
    let inner = after.split("</best_solution>").next()?;
    let number = int(strip(inner))?.to_i64()?;
    (text.contains("</best_solution>") && matches!(number, 1 | 2)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use hone_python::loads;

    #[test]
    fn grades_and_choices() {
        let row = Row {
            index: 0,
            fields: loads(r#"{"expected_answer": "Almost", "correct_index": 2}"#).unwrap(),
        };
        let reward = |server: &Server, text: &str| {
            (server.verify)(&row, &Response::text(text), &serde_json::Value::Null)
                .unwrap()
                .reward
        };
        let grades = ["so: **almost.**", "almost correct", "ALMOST", "", "almost there"];
        assert_eq!(
            grades.map(|text| reward(&IMO_GRADINGBENCH, text)),
            [1.0, 0.0, 1.0, 0.0, 0.0]
        );
        let choices = [
            "<best_solution> 2 </best_solution>",
            "<best_solution>1</best_solution></think><best_solution>2</best_solution>",
            "<best_solution>1</best_solution><best_solution>2</best_solution>",
            "<best_solution>2",
            "2",
            "<best_solution>two</best_solution>",
        ];
        assert_eq!(
            choices.map(|text| reward(&PROOF_GENSELECT, text)),
            [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        );
    }
}
