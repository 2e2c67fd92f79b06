"""SAT in hardware: the array of processing elements, the weight update, what lies between."""
