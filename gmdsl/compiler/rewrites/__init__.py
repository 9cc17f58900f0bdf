"""Operations of a traced density that are done in another, faster way."""
