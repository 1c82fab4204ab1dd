//! The tree, compared with an independent one, at its edges, and against proofs that were tampered with.

use super::tree::{Frontier, Tree, TreeHash, WrongProof, verify_consistency, verify_inclusion};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;

/// Sizes at which trees change their shape.
const EDGES: [u64; 17] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100];

fn entry(index: u64) -> String {
    format!("{{\"revision\":{index}}}")
}

fn tree(size: u64) -> Tree {
    let mut tree = Tree::default();
    (0..size).for_each(|index| tree.push(TreeHash::leaf(entry(index))));
    tree
}

fn theirs(size: u64) -> MemoryBackedTree<Sha256, String> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|index| tree.push(entry(index)));
    tree
}

fn their_root(root: TreeHash, size: u64) -> RootHash<Sha256> {
    RootHash::new(root.0.into(), size)
}

fn bytes(proof: &[TreeHash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn the_hashes_are_those_of_the_rfc() {
    // SHA-256 of nothing, of a byte 0, and of 0x01 before two of the latter.
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(Tree::default().root(0).unwrap().to_string(), empty);
    assert_eq!(Frontier::default().root().to_string(), empty);
    assert_eq!(TreeHash::leaf("").to_string(), "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
    assert_eq!(TreeHash::parse(empty), Some(TreeHash::empty()));
    assert_eq!(TreeHash::parse("AAAA"), None);
}

#[test]
fn every_root_and_proof_at_every_edge_verifies() {
    let whole = tree(100);
    let mut grown = Frontier::default();
    for size in 0..=100 {
        let root = whole.root(size).unwrap();
        assert_eq!(grown.root(), root, "{size}");
        assert_eq!(tree(size).root(size), Some(root));
        for index in 0..size {
            let proof = whole.prove_inclusion(index, size).unwrap();
            let leaf = TreeHash::leaf(entry(index));
            assert_eq!(verify_inclusion(leaf, index, size, root, &proof), Ok(()), "{index}/{size}");
        }
        for old in EDGES.into_iter().filter(|old| *old <= size) {
            let (before, proof) = (whole.root(old).unwrap(), whole.prove_consistency(old, size));
            let verified = verify_consistency(old, size, before, root, &proof.unwrap());
            assert_eq!(verified, Ok(()), "{old} to {size}");
        }
        grown.push(TreeHash::leaf(entry(size)));
    }
}

#[test]
fn what_is_not_there_cannot_be_proven() {
    let tree = tree(5);
    assert_eq!(tree.root(6), None);
    assert_eq!(tree.prove_inclusion(5, 5), None);
    assert_eq!(tree.prove_inclusion(0, 6), None);
    assert_eq!(tree.prove_inclusion(0, 0), None);
    assert_eq!(tree.prove_consistency(3, 2), None);
    assert_eq!(tree.prove_consistency(3, 6), None);
    let (leaf, root) = (TreeHash::leaf(entry(0)), tree.root(5).unwrap());
    assert_eq!(verify_inclusion(leaf, 5, 5, root, &[]), Err(WrongProof::Sizes));
    assert_eq!(verify_inclusion(leaf, 0, 0, root, &[]), Err(WrongProof::Sizes));
    assert_eq!(verify_consistency(6, 5, root, root, &[]), Err(WrongProof::Sizes));
}

#[test]
fn an_empty_tree_is_the_beginning_of_every_tree_and_of_nothing_else() {
    let root = tree(5).root(5).unwrap();
    assert_eq!(verify_consistency(0, 5, TreeHash::empty(), root, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 5, root, root, &[]), Err(WrongProof::Root));
    assert_eq!(verify_consistency(0, 5, TreeHash::empty(), root, &[root]), Err(WrongProof::Length));
    assert_eq!(verify_consistency(5, 5, root, root, &[]), Ok(()));
    assert_eq!(verify_consistency(5, 5, root, root, &[root]), Err(WrongProof::Length));
}

#[test]
fn a_proof_of_any_length_for_any_size_ends() {
    let hash = TreeHash::leaf("x");
    for size in [1, 2, u64::MAX - 1, u64::MAX] {
        for length in [0, 1, 63, 64, 65, 200] {
            let proof = vec![hash; length];
            assert!(verify_consistency(size / 2, size, hash, TreeHash::empty(), &proof).is_err());
            assert!(verify_inclusion(hash, size - 1, size, TreeHash::empty(), &proof).is_err());
        }
    }
}

proptest! {
    #[test]
    fn roots_and_proofs_are_those_of_an_independent_tree(
        (size, index) in (1_u64..200).prop_flat_map(|size| (Just(size), 0..size)),
    ) {
        let (ours, other) = (tree(size), theirs(size));
        let root = ours.root(size).unwrap();
        let their = other.root();
        prop_assert_eq!(root.0.as_slice(), their.as_bytes().as_slice());

        let proof = ours.prove_inclusion(index, size).unwrap();
        let place = usize::try_from(index).unwrap();
        let expected = other.prove_inclusion(place);
        prop_assert_eq!(bytes(&proof), expected.as_bytes());
        let theirs_reads = InclusionProof::<Sha256>::from_bytes(bytes(&proof));
        prop_assert!(other.root().verify_inclusion(&entry(index), index, &theirs_reads).is_ok());

        let old = index + 1;
        let proof = ours.prove_consistency(old, size).unwrap();
        let expected = other.prove_consistency(usize::try_from(size - old).unwrap());
        prop_assert_eq!(bytes(&proof), expected.as_bytes());
        let theirs_reads = ConsistencyProof::<Sha256>::try_from_bytes(bytes(&proof)).unwrap();
        let old_root = their_root(ours.root(old).unwrap(), old);
        prop_assert!(other.root().verify_consistency(&old_root, &theirs_reads).is_ok());
    }

    #[test]
    fn a_proof_that_was_tampered_with_is_refused(
        (size, index) in (2_u64..200).prop_flat_map(|size| (Just(size), 0..size)),
        how in 0..4,
        at in any::<prop::sample::Index>(),
        bit in 0..256_usize,
    ) {
        let tree = tree(size);
        let root = tree.root(size).unwrap();
        let tampered = |mut proof: Vec<TreeHash>| {
            let place = at.index(proof.len());
            match how {
                0 => proof[place].0[bit / 8] ^= 1 << (bit % 8),
                1 => drop(proof.remove(place)),
                2 => proof.insert(place, proof[place]),
                _ => proof.push(root),
            }
            proof
        };
        let leaf = TreeHash::leaf(entry(index));
        let proof = tampered(tree.prove_inclusion(index, size).unwrap());
        prop_assert!(verify_inclusion(leaf, index, size, root, &proof).is_err());

        let old = index.max(1);
        let before = tree.root(old).unwrap();
        let proof = tree.prove_consistency(old, size).unwrap();
        let proof = if proof.is_empty() { vec![root] } else { tampered(proof) };
        prop_assert!(verify_consistency(old, size, before, root, &proof).is_err());
    }

    #[test]
    fn a_proof_holds_for_its_own_leaf_place_and_roots_alone(
        (size, index) in (2_u64..200).prop_flat_map(|size| (Just(size), 0..size)),
    ) {
        let tree = tree(size);
        let (root, leaf) = (tree.root(size).unwrap(), TreeHash::leaf(entry(index)));
        let proof = tree.prove_inclusion(index, size).unwrap();
        let other = TreeHash::leaf("other");
        prop_assert!(verify_inclusion(other, index, size, root, &proof).is_err());
        prop_assert!(verify_inclusion(leaf, index, size, other, &proof).is_err());
        let place = (index + 1) % size;
        prop_assert!(verify_inclusion(leaf, place, size, root, &proof).is_err());

        let old = index.max(1);
        let (before, proof) = (tree.root(old).unwrap(), tree.prove_consistency(old, size).unwrap());
        prop_assert!(verify_consistency(old, size, other, root, &proof).is_err());
        prop_assert!(verify_consistency(old, size, before, other, &proof).is_err());
    }
}
