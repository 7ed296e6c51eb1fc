exports.main = ({ book, days }) => {
  console.log("lends", book)
  if (!book) return { error: "no book" }
  return { book, days }
}
