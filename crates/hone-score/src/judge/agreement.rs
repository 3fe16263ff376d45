//! How far raters agree beyond chance.

/// Cohen's κ of two raters over the same items (Cohen 1960): `(p_o - p_e) / (1 - p_e)` with the observed agreement `p_o` and
/// the agreement `p_e` of raters that vote independently with their own frequencies.
///
/// `None` without items, with lists of different lengths, and where `p_e` is 1 (both always say the same).
pub fn cohen_kappa(first: &[bool], second: &[bool]) -> Option<f64> {
    if first.is_empty() || first.len() != second.len() {
        return None;
    }
    let n = first.len() as f64;
    let share = |votes: &[bool]| votes.iter().filter(|vote| **vote).count() as f64 / n;
    let (a, b) = (share(first), share(second));
    let observed = first.iter().zip(second).filter(|(x, y)| x == y).count() as f64 / n;
    let expected = a * b + (1.0 - a) * (1.0 - b);
    (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
}

/// Fleiss' κ (Fleiss 1971): for each item the number of votes per category, as many votes for every item.
///
/// `None` without items, with fewer than two votes, with different numbers of votes or categories, and where all votes fall
/// into one category.
pub fn fleiss_kappa(counts: &[Vec<u64>]) -> Option<f64> {
    let categories = counts.first()?.len();
    let votes: u64 = counts.first()?.iter().sum();
    let whole = counts
        .iter()
        .all(|item| item.len() == categories && item.iter().sum::<u64>() == votes);
    if !whole || votes < 2 {
        return None;
    }
    let (items, per_item) = (counts.len() as f64, votes as f64);
    let agreement = |item: &Vec<u64>| {
        let squares: f64 = item.iter().map(|count| (*count as f64).powi(2)).sum();
        (squares - per_item) / (per_item * (per_item - 1.0))
    };
    let observed = counts.iter().map(agreement).sum::<f64>() / items;
    let share = |category: usize| {
        let votes: u64 = counts.iter().map(|item| item[category]).sum();
        votes as f64 / (items * per_item)
    };
    let expected: f64 = (0..categories).map(|category| share(category).powi(2)).sum();
    (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 50 items: both say yes to 20, the first alone to 5, the second alone to 10, none to 15. By hand: p_o = 0.7,
    /// p_e = 0.5 · 0.6 + 0.5 · 0.4 = 0.5, κ = 0.4.
    #[test]
    fn cohen_by_hand() {
        let table = [
            (true, true, 20),
            (true, false, 5),
            (false, true, 10),
            (false, false, 15),
        ];
        let votes: Vec<(bool, bool)> = table.iter().flat_map(|(a, b, n)| vec![(*a, *b); *n]).collect();
        let (first, second): (Vec<_>, Vec<_>) = votes.into_iter().unzip();
        assert!((cohen_kappa(&first, &second).unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(cohen_kappa(&[true], &[true]), None);
        assert_eq!(cohen_kappa(&[true], &[]), None);
    }

    /// Fourteen raters, ten items, five categories: the worked example that goes with the formula; κ = 0.210.
    #[test]
    fn fleiss_by_the_worked_example() {
        let counts: Vec<Vec<u64>> = [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
        .map(Vec::from)
        .into();
        assert!((fleiss_kappa(&counts).unwrap() - 0.210).abs() < 5e-4);
    }

    #[test]
    fn undefined_agreement_is_absent() {
        assert_eq!(fleiss_kappa(&[]), None);
        assert_eq!(fleiss_kappa(&[vec![1, 0]]), None);
        assert_eq!(fleiss_kappa(&[vec![3, 0], vec![3, 0]]), None);
        assert_eq!(fleiss_kappa(&[vec![3, 0], vec![1, 1]]), None);
        assert_eq!(fleiss_kappa(&[vec![3, 0], vec![0, 3]]), Some(1.0));
    }
}
