"""All exercises, one file per family, in the order in which they are to be done."""

from minirec.exercises.catalogue import attention, layers, recommenders, softmax
from minirec.exercises.exercise import Exercise

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for exercise in (
        *layers.EXERCISES,
        *softmax.EXERCISES,
        *attention.EXERCISES,
        *recommenders.EXERCISES,
    )
}
