/** Show this view in an element. Return the function that ends it. */
export async function show(root, parameters) {
  return () => {};
}
